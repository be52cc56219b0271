"""The CSV logs of other programs: columns known by their names, and what is said of the rest."""

from pathlib import Path

import pytest

from alexrep.errors import DataError
from alexrep.runs import csv_log


def write(folder: Path, *lines: str, name: str = "log.csv") -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder / name


OURS = "epoch step train_error val_top1_error val_top5_error weights_rate biases_rate"
COLUMNS = {
    "epoch,accuracy,loss,lr": "epoch train_error train_loss weights_rate",
    "epoch,val_accuracy,val_loss": "epoch val_top1_error val_loss",
    "epoch,top_5_accuracy,val_sparse_top_k_categorical_accuracy": (
        "epoch train_top5_error val_top5_error"
    ),
    "epoch,train_loss,eval_loss,eval_top1,eval_top5": (
        "epoch train_loss val_loss val_top1_error val_top5_error"
    ),
    "NumIters,Seconds,LearningRate,loss": "step seconds weights_rate train_loss",
    "Epoch;Training Loss;Validation Acc@1;Validation Acc@5;Learning rate": (
        "epoch train_loss val_top1_error val_top5_error weights_rate"
    ),
    "epoch\ttrain_err1\tval_prec1\tval_acc5\tvalLoss": (
        "epoch train_error val_top1_error val_top5_error val_loss"
    ),
    OURS.replace(" ", ","): OURS,
}


@pytest.mark.parametrize("columns", COLUMNS)
def test_columns_are_known_by_their_names(columns: str, tmp_path: Path) -> None:
    separator = next(mark for mark in ";\t," if mark in columns)
    num = columns.count(separator) + 1
    log = csv_log.read(write(tmp_path, columns, separator.join(["0.5"] * num)))
    assert set(log.rows[0]) == {"kind", *COLUMNS[columns].split()}
    assert log.remarks == []


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "time,epoch,val_loss,loss_2,val_auc", "1,1,2.5,3,4")
    log = csv_log.read(path)
    assert log.remarks == ["columns not understood, and not drawn: time, loss_2, val_auc"]
    assert log.rows == [{"kind": "epoch", "epoch": 1.0, "val_loss": 2.5}]


def test_accuracies_become_errors_and_percent_fractions(tmp_path: Path) -> None:
    path = write(tmp_path, "epoch,val_acc,val_acc5", "1,25,0.5", "2,75,0.75")
    rows = csv_log.read(path).rows
    assert [row["val_top1_error"] for row in rows] == [0.75, 0.25]
    assert [row["val_top5_error"] for row in rows] == [0.5, 0.25]


def test_epochs_counted_from_0_are_shifted_but_not_a_row_before_training(tmp_path: Path) -> None:
    keras = csv_log.read(write(tmp_path, "epoch,loss", "0,3", "1,2"))
    assert [row["epoch"] for row in keras.rows] == [1, 2]
    assert keras.remarks == ["epochs counted from 0: drawn from 1"]
    ours = csv_log.read(write(tmp_path, "epoch,train_loss,val_loss", "0,,3", "1,2,2"))
    assert [row["epoch"] for row in ours.rows] == [0, 1]


def test_rows_of_one_epoch_are_one(tmp_path: Path) -> None:
    lightning = ("epoch,step,train_loss,val_loss", "0,9,3,", "0,9,,2.5", "1,19,2,", "1,19,,1.5")
    rows = csv_log.read(write(tmp_path, *lightning)).rows
    assert [(row["epoch"], row["train_loss"], row["val_loss"]) for row in rows] == [
        (1, 3, 2.5),
        (2, 2, 1.5),
    ]


def test_the_test_table_of_caffe_is_of_val(tmp_path: Path) -> None:
    path = write(tmp_path, "NumIters,accuracy,loss", "1000,0.25,5", name="caffe.log.test")
    assert csv_log.read(path).rows == [
        {"kind": "epoch", "step": 1000.0, "val_top1_error": 0.75, "val_loss": 5.0}
    ]


def test_numbers_that_are_none_are_left_out_and_a_line_cut_short_too(tmp_path: Path) -> None:
    path = write(tmp_path, "epoch,loss,val_loss", "1,nan,inf", "2,x,1.5", "3,2")
    assert csv_log.read(path).rows == [
        {"kind": "epoch", "epoch": 1.0},
        {"kind": "epoch", "epoch": 2.0, "val_loss": 1.5},
    ]


def test_without_epochs_a_row_is_one(tmp_path: Path) -> None:
    log = csv_log.read(write(tmp_path, "loss", "3", "2"))
    assert [row["epoch"] for row in log.rows] == [1, 2]
    assert log.remarks == ["no column of epochs or steps: a row is an epoch"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"\0", b"a,b\n1,2\n", b"text"])
def test_what_is_no_log_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.csv: expected "):
        csv_log.read(tmp_path / "x.csv")
