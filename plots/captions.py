"""What pictures of a result say in their subtitles."""

from alexrep.runs.results import Result


def about(result: Result) -> str:
    """Return errors, images, views and checkpoint of a result on one line."""
    images = f"{result.num_images:,} images of {result.split}, {result.views}"
    epochs = f"checkpoint {result.checkpoint}, {result.moment}"
    if result.top1_error is None or result.top5_error is None:
        return f"{images}, without labels; {epochs}"
    top1, top5 = 100 * result.top1_error, 100 * result.top5_error
    return f"top-1 error {top1:.2f} %, top-5 {top5:.2f} % of {images}; {epochs}"
