"""`alexrep import`: weights that were trained elsewhere, as a run."""

from .cli import import_options, options


def command(
    source: import_options.Source,
    run: import_options.Run,
    data: import_options.Data,
    recipe: import_options.Recipe = None,
    arch: import_options.Arch = None,
    file: import_options.File = None,
    labels: import_options.Labels = None,
    mean: import_options.CaffeMean = None,
    allow_missing: import_options.AllowMissing = False,
    setting: options.Settings = None,
) -> None:
    """Turn weights that were trained elsewhere into a run that alexrep eval scores.

    Nothing is downloaded: weights of torchvision lie in the cache of torch's hub, or --file
    names them. --mean and --allow-missing are for Caffe's files, see import-caffe.

    \b
    Example: alexrep import torchvision:resnet50 --run runs/resnet50 --data data
    """
    from alexrep.weights.survey import Asked, survey

    from .cli import importing

    options.require_run_folder(run, data)
    named = (source, data, recipe, arch, file, mean, labels, allow_missing)
    importing.write(survey(Asked(*named, tuple(setting or ()))), run)
