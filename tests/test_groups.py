"""Which synsets make the classes of a smaller set: what may be asked for, and what is refused."""

from pathlib import Path

import pytest

from alexrep.errors import AlexrepError
from alexrep.ilsvrc import groups, synsets, tree
from alexrep.ilsvrc.classes import ClassTable, of_leaves
from alexrep.ilsvrc.groups import Group, Grouping
from alexrep.ilsvrc.tree import Tree

TABLE = of_leaves(
    [
        ("n02086240", 3, "Shih-Tzu", 9),
        ("n02087394", 8, "Rhodesian ridgeback", 9),
        ("n02123045", 4, "tabby, tabby cat", 9),
        ("n03000134", 1, "chainlink fence", 9),
    ]
)
TREE = Tree(
    {"n02084071": "dog, domestic dog", "n00015388": "animal", "n03544360": "house"},
    {
        "n02084071": ("n02086240", "n02087394", "n02099999"),
        "n00015388": ("n02084071", "n02123045"),
        "n03544360": ("n03999999",),
    },
)


def resolve(grouping: Grouping, classes: ClassTable = TABLE, seed: int = 1) -> tuple[Group, ...]:
    return groups.resolve(grouping, classes, lambda: TREE, seed)


def wnids(grouping: Grouping, classes: ClassTable = TABLE, seed: int = 1) -> dict[str, list[str]]:
    return {group.name: list(group.wnids) for group in resolve(grouping, classes, seed)}


@pytest.fixture
def ilsvrc2012() -> ClassTable:
    """Return the 1,000 classes of 2012, with other ids."""
    listed = enumerate(synsets.words_of_wnid().items(), 1)
    return of_leaves([(wnid, number, words, 0) for number, (wnid, words) in listed])


def test_three_digits_of_the_1000_wnids_of_2012_are_61_groups(ilsvrc2012: ClassTable) -> None:
    made = resolve(Grouping(digits=3), ilsvrc2012)
    assert len(made) == 61
    assert sum(len(group.wnids) for group in made) == 1000
    assert (made[0].name, made[0].words) == ("n014", "n014 (tench and 6 more)")


def test_a_number_of_classes_is_a_fair_draw_of_them(ilsvrc2012: ClassTable) -> None:
    drawn = [set(wnids(Grouping("100"), ilsvrc2012, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 100
    assert drawn[0] > set(wnids(Grouping("25"), ilsvrc2012))
    assert 20 < sum(wnid < "n02747177" for wnid in drawn[0]) < 60  # 398 of the 1,000


def test_a_number_of_groups_is_drawn_of_the_groups(ilsvrc2012: ClassTable) -> None:
    assert len(resolve(Grouping("20", digits=3), ilsvrc2012)) == 20


def test_classes_by_name_and_below_a_node() -> None:
    assert list(wnids(Grouping("n03000134, n02086240"))) == ["n02086240", "n03000134"]
    assert list(wnids(Grouping("n02084071"))) == ["n02086240", "n02087394"]
    assert [group.words for group in resolve(Grouping("n02086240,n02123045"))] == [
        "Shih-Tzu",
        "tabby, tabby cat",
    ]


def test_classes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("# pets\nn02086240 Shih-Tzu\n\n  n02123045\ttabby\n")
    assert list(wnids(Grouping(str(path)))) == ["n02086240", "n02123045"]


def test_names_of_class_folders_may_hold_blanks(tmp_path: Path) -> None:
    table = of_leaves([("kit fox, red", 1, "kit fox, red", 0), ("cat", 2, "cat", 0)])
    path = tmp_path / "some.txt"
    path.write_text("kit fox, red\ncat\n")
    assert list(wnids(Grouping(str(path)), table)) == ["cat", "kit fox, red"]


def test_nodes_are_groups_of_what_the_data_has_below_them() -> None:
    made = resolve(Grouping(nodes="n02084071,n02123045"))
    assert made == (
        Group("n02084071", "dog, domestic dog", ("n02086240", "n02087394")),
        Group("n02123045", "n02123045", ("n02123045",)),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of groups."""
    path = tmp_path / "groups.toml"
    path.write_text('drop = ["n02123045"]\n[groups]\ndogs = ["n02086240", "n02087394"]\n')
    return path


def test_listed_synsets_are_joined_dropped_ones_absent_others_kept(file: Path) -> None:
    joined = {"dogs": ["n02086240", "n02087394"]}
    assert wnids(Grouping(file=file)) == {**joined, "n03000134": ["n03000134"]}
    file.write_text('others = "drop"\n[groups]\ndogs = ["n02084071"]\ncats = ["n02123045"]')
    assert wnids(Grouping(file=file)) == {**joined, "cats": ["n02123045"]}


def test_the_real_tree_of_2010(real_data: Path) -> None:
    read = tree.read(real_data / "devkits" / "ilsvrc2010")
    assert len(read.leaves("n00001740")) == 1000
    assert len(read.children) == 676
    dogs = read.leaves("n02084071")
    assert "n02087394" in dogs
    assert "n02123045" not in dogs


@pytest.mark.parametrize(
    ("grouping", "message"),
    [
        (
            Grouping("n02086241"),
            "--select: expected a class of the data, found 'n02086241'; did you",
        ),
        (Grouping("few.txt"), "--select: expected a class of the data, found 'few.txt'; one of"),
        (Grouping("5"), "--select: expected at most 4 classes, found 5; ask for fewer"),
        (Grouping("1"), "classes: expected two or more, found n0.*; select more"),
        (Grouping(","), "--select: expected classes of the data, found none; name some"),
        (Grouping("n03544360"), "expected classes of the data below n03544360, found none; leave"),
        (Grouping(nodes="n02084071,n02084071"), "expected each group once, found n02084071 twice"),
        (
            Grouping(nodes="n02084071,n00015388"),
            "expected each class in one group, found n02086240 in 'n02084071' and in 'n00015388'",
        ),
        (Grouping(digits=3, nodes="n02084071"), "found --group-digits and --group-nodes; leave"),
        (
            Grouping("n02123045,n03000134", nodes="n02084071"),
            "expected classes of the data in group 'n02084071', found none; add some",
        ),
    ],
)
def test_a_wrong_request_is_one_line(grouping: Grouping, message: str) -> None:
    with pytest.raises(AlexrepError, match=message):
        resolve(grouping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[groups]\ncats = []", "expected classes of the data in group 'cats', found none; add"),
        ('[groups]\na = ["n02123045"]\na = []', "expected each group once, found a twice; join"),
        ('[groups]\na = ["n02123046"]', "found 'n02123046'; did you mean n02123045"),
        ('[groups]\na = ["n02123045"]\nb = ["n02123045"]', "found n02123045 in 'a' and in 'b'"),
        ('drop = ["n02123045"]\n[groups]\na = ["n02123045"]', "found n02123045 in drop and in 'a'"),
        (
            '[groups]\nn03000134 = ["n02123045"]',
            "another name for each class, found 'n03000134' tw",
        ),
        ('[groups]\n"a/b" = ["n02123045"]', "names of groups that a folder can have, found 'a/b'"),
        ('others = "all"', "expected drop, others and groups of wnids, found others: "),
        ("dogs", "expected a TOML file of groups, found "),
    ],
)
def test_a_wrong_file_is_one_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(AlexrepError, match=rf"groups\.toml: .*{message}"):
        resolve(Grouping(file=file))


def test_a_missing_file_and_a_missing_devkit_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(AlexrepError, match="expected a file of groups, found No such file"):
        resolve(Grouping(file=tmp_path / "groups.toml"))
    with pytest.raises(AlexrepError, match="expected a devkit with the tree, found none; name its"):
        groups.resolve(Grouping(nodes="n02084071"), TABLE, lambda: None, 1)


def test_digits_are_of_wnids_only() -> None:
    table = of_leaves([("cat", 1, "cat", 0), ("dog", 2, "dog", 0)])
    with pytest.raises(AlexrepError, match="--group-digits: expected wnids, found 'cat'; use"):
        resolve(Grouping(digits=3), table)
