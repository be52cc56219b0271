"""`alexrep train`: shards to a trained network."""

import typer

from .cli import options, train_options


def command(
    ctx: typer.Context,
    data: options.Data,
    run: train_options.Run = None,
    recipe: train_options.Recipe = None,
    arch: train_options.Arch = None,
    setting: options.Settings = None,
    epochs: train_options.Epochs = None,
    batch_size: train_options.BatchSize = None,
    rate: train_options.Rate = None,
    momentum: train_options.Momentum = None,
    weight_decay: train_options.WeightDecay = None,
    seed: train_options.Seed = None,
    weights: train_options.Weights = None,
    print_freq: train_options.PrintFreq = None,
    mode: train_options.Resume = "auto",
    resume_last: train_options.ResumeLast = None,
    evaluate: train_options.Evaluate = False,
    dry_run: train_options.DryRun = False,
    profile: train_options.Profile = None,
    device: options.Device = "auto",
    workers: options.Threads = None,
    copy_to: train_options.CopyTo = None,
    keep_copy: train_options.KeepCopy = False,
) -> None:
    """Train a network by a recipe; started again, go on from the last checkpoint.

    A first Ctrl-C, SIGTERM or SIGUSR2 saves and leaves with exit code 75.
    \b
    Example: alexrep train data --run runs/first --recipe alexnet-2012
    """
    from alexrep import signals

    signal = ctx.with_resource(signals.flagged("step"))  # before torch, which takes seconds
    from .cli import training

    short: dict[str, object]
    short = {"epochs": epochs, "batch_size": batch_size, "momentum": momentum, "seed": seed}
    short |= {"weight_decay": weight_decay, "weights": weights, "print_freq": print_freq}
    named = (data, run, recipe, arch, mode, resume_last)
    choice = training.choose(training.Asked(*named, short, rate, tuple(setting or ())))
    trains = not (evaluate or dry_run or profile)
    order = training.order(data, copy_to, keep_copy, is_training=trains)
    if evaluate:
        training.score(ctx, choice, data, device, workers, signal)
    else:
        training.train(ctx, choice, order or data, dry_run, device, workers, signal, profile)
