"""The application shell: help, versions, and how errors are reported."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from alexrep import files
from alexrep.errors import AlexrepError, ConfigError, DigestError
from alexrep.stages import app, application
from alexrep.stages.cli import shell
from alexrep.stages.cli.progress import is_quiet
from alexrep.stages.cli.shell import Shell, explain

COMMANDS = [info.name or "" for info in app.registered_commands]


def alexrep(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="alexrep")


def leave_by(error: BaseException, *options: str) -> Result:
    """Run an application with one command, which raises `error`."""
    failing = typer.Typer(cls=Shell, rich_markup_mode=None, pretty_exceptions_enable=False)
    failing.callback(invoke_without_command=True)(application)

    @failing.command("fail")
    def _() -> None:
        raise error

    return CliRunner().invoke(failing, [*options, "fail"])


def processor_seconds(*words: str) -> float:
    """Return the CPU time of a command, the least of three runs, without other processes' load."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_help_takes_little_more_than_typer_itself() -> None:
    help_s = processor_seconds("-m", "alexrep.stages", "--help")
    assert help_s < 4 * processor_seconds("-c", "import typer")


def test_the_application_imports_no_heavy_library() -> None:
    heavy = {"torch", "torchvision", "h5py", "matplotlib", "scipy", "sklearn", "PIL", "rich"}
    command = "import sys, alexrep.stages; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert not heavy & set(shown.stdout.decode().split())


def test_training_and_scoring_import_no_torchvision_before_they_need_it() -> None:
    """It imports torch's compiler: a second and a half of each start."""
    command = "import sys; from alexrep.stages.cli import ensembles, training; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert "torchvision" not in shown.stdout.decode().split()


def test_no_command_prints_help_and_exits_2() -> None:
    for arguments in [], ["-q"]:
        result = alexrep(*arguments)
        assert result.exit_code == 2
        assert "Usage: alexrep" in result.output


def test_an_unknown_command_exits_2() -> None:
    result = alexrep("trian")
    assert result.exit_code == 2
    assert "trian" in result.stderr


@pytest.mark.parametrize(
    ("words", "named", "command"),
    [
        ("trian", "'trian'", "alexrep"),
        ("--verb", "--verb", "alexrep"),
        ("mean", "'DATA'", "alexrep mean"),
        ("mean data more", "(more)", "alexrep mean"),
        ("mean data --worker 1", "--worker", "alexrep mean"),
        ("mean data --workers", "--workers", "alexrep mean"),
        ("mean data --workers 0", "--workers: expected a number from 1 ", "alexrep mean"),
        ("mean data --workers many", "--workers: expected a whole number, ", "alexrep mean"),
        ("runs diff one", "'OTHER'", "alexrep runs diff"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exits_2(words: str, named: str, command: str) -> None:
    """The words in between are Typer's and change with its versions."""
    result = alexrep(*words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    mismatch, _, advice = result.stderr.rpartition("; ")
    assert re.fullmatch(r"alexrep: (--)?[A-Za-z][^\n]+[^.]", mismatch)
    assert named in mismatch
    assert advice == f"see {command} --help\n"


def test_a_group_without_a_command_prints_its_help() -> None:
    result = alexrep("runs")
    assert result.exit_code == 2
    assert result.output.startswith("Usage: alexrep runs ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(name: str) -> None:
    assert f"Example: alexrep {name}" in alexrep(name, "--help").output
    assert alexrep(name, "-h").exit_code == 0


def test_the_shell_completes_a_command() -> None:
    words = {"_ALEXREP_COMPLETE": "complete_bash", "COMP_WORDS": "alexrep ver", "COMP_CWORD": "1"}
    script = Path(sys.executable).with_name("alexrep")
    shown = subprocess.run([script], env=os.environ | words, capture_output=True, check=False)
    assert shown.stdout.split() == [b"verify"]


def test_version_prints_the_facts() -> None:
    result = alexrep("--version")
    facts = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert result.exit_code == 0
    assert facts["python"] == sys.version.split()[0]
    assert facts["pillow"].split()[0] in ("pillow", "pillow-simd")
    assert facts["torchvision"] == metadata.version("torchvision")
    assert set(facts) >= {"alexrep", "torch", "h5py", "numpy", "cpus", "cuda_devices"}


def test_version_fails_when_files_of_both_pillows_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "1.0")
    result = alexrep("--version")
    assert result.exit_code == 1
    assert "found pillow 1.0 and pillow-simd 1.0; run make install" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", [AlexrepError, ConfigError, DigestError])
def test_an_expected_error_is_one_line_and_its_exit_code(kind: type[AlexrepError]) -> None:
    result = leave_by(kind("x.tar: expected a tar,\nfound none; get it"))
    assert result.exit_code == kind.exit_code
    assert result.stderr == "alexrep: x.tar: expected a tar, found none; get it\n"


def test_verbose_shows_where_an_expected_error_came_from() -> None:
    result = leave_by(ConfigError("wrong"), "-v")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("alexrep: wrong\n")


@pytest.mark.parametrize("where", ["before", "after", "between"])
def test_verbose_may_stand_anywhere(tmp_path: Path, where: str) -> None:
    words = {
        "before": "-v runs show {0}",
        "after": "runs show {0} -v",
        "between": "runs show -v {0}",
    }
    result = alexrep(*words[where].format(tmp_path).split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" in result.stderr
    assert "Traceback" not in alexrep("runs", "show", str(tmp_path)).stderr


@pytest.mark.parametrize("words", ["-q {}", "{} -q", "{} --quiet", "-q {} -q", "{}"])
def test_quiet_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    told: list[bool] = []

    def moments_stage(ctx: typer.Context, *_: object) -> None:
        told.append(is_quiet(ctx))

    monkeypatch.setattr("alexrep.stages.mean.moments_stage", moments_stage)
    assert alexrep(*words.format("mean data").split()).exit_code == 0
    assert told == ["q" in words]


def test_what_follows_two_dashes_is_no_option(tmp_path: Path) -> None:
    result = alexrep("runs", "note", str(tmp_path), "--", "-v")
    assert "Traceback" not in result.stderr
    assert "a run folder" in result.stderr


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "alexrep", "runs", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    # Click's runner for tests is two columns wider than a terminal that nobody knows.
    assert shown.stdout.split() == alexrep("runs", "--help").output.split()


def test_a_full_disk_is_one_line_that_names_the_file() -> None:
    result = leave_by(OSError(errno.ENOSPC, "No space left on device", "data/x.tar"))
    assert result.exit_code == 1
    assert result.stderr.startswith("alexrep: data/x.tar: expected room on the disk, found none;")
    assert result.stderr.count("\n") == 1


def test_a_full_disk_under_h5py_names_the_file() -> None:
    text = "Can't write data (time = now\n, filename = 'a/b.h5', errno = 28)"
    assert str(explain(OSError(errno.ENOSPC, text))).startswith("a/b.h5: expected room")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refusal_is_one_line_that_names_the_file(number: int) -> None:
    result = leave_by(OSError(number, os.strerror(number), "data/x"))
    assert result.exit_code == 1
    assert result.stderr.startswith("alexrep: data/x: expected permission to use it, found '")


@pytest.mark.parametrize("kind", ["open", "make", "below", "rename"])
def test_a_file_where_a_folder_should_be_is_one_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x").touch()
    (tmp_path / "folder").mkdir()
    calls: dict[str, Callable[[], object]] = {
        "open": lambda: list((tmp_path / "x").iterdir()),
        "make": lambda: (tmp_path / "x").mkdir(exist_ok=True),
        "below": lambda: (tmp_path / "x" / "y" / "z").write_bytes(b""),
        "rename": lambda: (tmp_path / "folder").replace(tmp_path / "x"),
    }
    with pytest.raises(OSError, match="x") as caught:
        calls[kind]()
    wanted = f"{tmp_path}/x: expected a folder, found a file; move it away, then start again"
    assert explain(caught.value) == wanted


@pytest.mark.parametrize("kind", ["open", "rename", "remove"])
def test_a_folder_where_a_file_should_be_is_one_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x").mkdir()
    calls: dict[str, Callable[[], object]] = {
        "open": (tmp_path / "x").read_bytes,
        "rename": lambda: files.write_bytes(tmp_path / "x", b""),
        "remove": (tmp_path / "x").unlink,
    }
    with pytest.raises(IsADirectoryError) as caught:
        calls[kind]()
    wanted = f"{tmp_path}/x: expected a file, found a folder; move it away, then start again"
    assert explain(caught.value) == wanted


def test_a_full_folder_where_a_file_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.partial").touch()
    with pytest.raises(OSError, match="Directory not empty") as caught:
        (tmp_path / "x.partial").replace(tmp_path)
    assert str(explain(caught.value)).startswith(f"{tmp_path}: expected a file, found a folder; ")


def test_a_link_to_nothing_where_a_folder_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("nowhere")
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "x").mkdir(exist_ok=True)
    assert f"{tmp_path}/x: expected a file that can be used, found '" in str(explain(caught.value))


NAMED = (errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.EMFILE)


@pytest.mark.parametrize("number", NAMED)
def test_any_other_error_that_names_a_file_is_one_line(number: int) -> None:
    result = leave_by(OSError(number, os.strerror(number), "data/x"), "-v")
    assert result.exit_code == 1
    trace, line = result.stderr.split("alexrep: ")
    wanted = f"data/x: expected a file that can be used, found {os.strerror(number)!r}; "
    assert line.startswith(wanted)
    assert ("ulimit -n" in line) == (number == errno.EMFILE)
    assert "Traceback" in trace


def test_a_broken_pipe_is_left_to_who_expects_it() -> None:
    assert explain(BrokenPipeError(errno.EPIPE, "gone", "x")) is None


@pytest.mark.parametrize("error", [OSError(errno.ECHILD, "no name"), KeyError("x")])
def test_any_other_error_keeps_its_traceback(error: Exception) -> None:
    assert leave_by(error).exception is error


def test_an_interrupt_exits_130() -> None:
    assert leave_by(KeyboardInterrupt()).exit_code == 130


@pytest.mark.parametrize("words", [["--help"], ["mean", "--help"], ["mean"], ["mean", "nowhere"]])
def test_nothing_is_coloured_even_if_colours_are_forced(words: list[str]) -> None:
    forced = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"}
    result = CliRunner().invoke(app, words, prog_name="alexrep", env=forced, color=True)
    assert result.output
    assert "\x1b" not in result.output


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "alexrep.stages", "--help"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert result.stderr == b""


@pytest.mark.parametrize("words", ["--help", "mean --help", "--version", "classes {data}"])
def test_an_output_that_is_full_is_one_line(data: Path, words: str) -> None:
    command = [sys.executable, "-m", "alexrep.stages", *words.format(data=data).split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rb"alexrep: the output: expected room on the disk, [^\n]+\n", done.stderr)


@pytest.mark.parametrize("words", ["--help", "classes {data}", "verify {data}"])
def test_a_closed_output_is_no_error(data: Path, words: str) -> None:
    command = f"{sys.executable} -m alexrep.stages {words.format(data=data)} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert b"Error" not in done.stderr


def test_a_ctrl_c_outside_of_a_command_is_silent() -> None:
    code = "import alexrep.stages; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_another_error_outside_of_a_command_is_told() -> None:
    code = "import alexrep.stages; raise ValueError('here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("ValueError: here\n")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("trian", "No such command 'trian' (did you mean 'train'?); see alexrep --help"),
        ("runs lst", "No such command 'lst' (did you mean 'list'?); see alexrep runs --help"),
        ("mean data --worker 1", "(did you mean --workers?); see alexrep mean --help"),
        ("--versoin", "(did you mean --verbose or --version?); see alexrep --help"),
    ],
)
def test_near_names_are_asked_for(words: str, wanted: str) -> None:
    assert alexrep(*words.split()).stderr.endswith(f"{wanted}\n")


def test_a_refused_file_that_is_not_there_is_named_by_its_folder(tmp_path: Path) -> None:
    inner = OSError(errno.EROFS, "Read-only file system", str(tmp_path / ".lock-run-1"))
    assert str(explain(inner)).startswith(f"{tmp_path}: expected permission to use it, found")
    (tmp_path / "there").touch()
    own = OSError(errno.EACCES, "Permission denied", str(tmp_path / "there"))
    assert str(explain(own)).startswith(f"{tmp_path}/there: expected permission")


def test_a_command_that_ctrl_c_ends_says_so() -> None:
    assert leave_by(KeyboardInterrupt()).stderr == "alexrep: stopped by Ctrl-C\n"
    assert leave_by(KeyboardInterrupt("data: kept")).stderr == "alexrep: data: kept\n"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("0 is not in the range x>=1", "a number from 1 up, found 0"),
        ("7 is not in the range 8<=x<=9", "a number from 8 to 9, found 7"),
        ("'a' is not a valid int", "a whole number, found a"),
        ("'a b' is not a valid integer range", "a whole number, found a b"),
        ("Input should be greater than or equal to 1", "a number from 1 up, found another"),
    ],
)
def test_a_wrong_number_is_named_in_the_same_words_in_all_versions_of_typer(
    said: str, wanted: str
) -> None:
    text = shell.of_number(f"Invalid value for '--top': {said}", None)
    assert text == f"--top: expected {wanted}"


def test_what_is_no_number_stays_as_it_is() -> None:
    assert shell.of_number("Invalid value for '--top': gone", None) is None
    assert shell.of_number("No such option: --tpo", None) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "run", "x", "--top", "0"), "--top: expected a number from 1 up, found 0; "),
        (("pack", "data", "--seed", "one"), "--seed: expected a whole number, found one; "),
        (("mean", "data", "--workers", "2000"), "--workers: expected a number "),
    ],
)
def test_an_option_with_a_wrong_number_is_one_line(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, words, prog_name="alexrep")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"alexrep: {said}")
    assert result.stderr.endswith(f"; see alexrep {words[0]} --help\n")
