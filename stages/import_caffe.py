"""`alexrep import-caffe`: weights that Caffe trained, as a run."""

from .cli import import_options, options


def command(
    weights: import_options.CaffeFile,
    run: import_options.Run,
    data: import_options.Data,
    allow_missing: import_options.AllowMissing = False,
    mean: import_options.CaffeMean = None,
    labels: import_options.Labels = None,
    setting: options.Settings = None,
) -> None:
    """Turn the weights of Caffe's AlexNet into a run that alexrep eval scores.

    An .npz holds conv1.weight, conv1.bias and so on to fc8.bias, in Caffe's shapes and order.
    Prepare the data with --geometry squash, as Caffe's was.

    \b
    Example: alexrep import-caffe bvlc.caffemodel --run runs/caffe --data data
    """
    from alexrep.weights import caffe

    from .cli import importing

    options.require_run_folder(run, data)
    overlaid = tuple(setting or ())
    importing.write(caffe.survey(weights, data, mean, labels, allow_missing, overlaid), run)
