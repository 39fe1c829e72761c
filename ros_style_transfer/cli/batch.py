"""Many jobs, one result each: those that remain are done here or on workers, recorded, and their failures named."""

import argparse
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from tqdm import tqdm

from ..errors import StyleTransferError
from . import manifest, workers
from .common import print_message

LISTED = 10  # failures that the summary names


def run(
    args: argparse.Namespace,
    jobs: Sequence[Any],
    options: Mapping[str, Any],
    folder: Optional[str],
    result: Callable[[Any], manifest.Result],
    make: Callable[..., Any],
    unit: str,
    divisible: bool,
) -> None:
    """Do all jobs whose results are not there yet; exit with code 1 if one fails.

    Args:
        args: with the options of `common.add_output_options` and `workers.add_options`.
        jobs: units with the attribute ``output``.
        options: everything but the inputs that results depend on, see `manifest.Manifest`.
        folder: of the results and their manifest; None for a single file, which has none.
        result: a job to its `manifest.Result`.
        make: (precision or None, memory in megabytes or None, notify, in_worker) to the task, see `cluster.Worker`.
            Its attribute ``choice`` is the precision.
        unit: what the progress bar counts.
        divisible: whether a worker may answer to a job with its parts.

    Raises:
        OptionError: a result exists, and the user has not said what to do then.
    """
    record = manifest.Manifest(folder, options) if folder else None
    todo = _remaining(args, jobs, record, result)
    if not todo:
        return
    choice = record.choice if record else None
    if record:
        record.begin([result(job) for job in todo], choice)
    if workers.are_wanted(args):
        failures = workers.run(args, todo, options, record, result, make, choice, unit, divisible)
    else:
        failures = _run_here(todo, record, result, make(choice, None, print_message, False), unit)
    if failures and len(todo) > 1:
        names = [*list(failures)[:LISTED], *["..."] * (len(failures) > LISTED)]
        print_message("%d of %d failed, see above: %s" % (len(failures), len(todo), ", ".join(names)))
    if failures:
        sys.exit(1)


def _remaining(
    args: argparse.Namespace,
    jobs: Sequence[Any],
    record: Optional[manifest.Manifest],
    result: Callable[[Any], manifest.Result],
) -> List[Any]:
    """The jobs whose results are not there yet."""
    if record is None:
        todo = [job for job in jobs if manifest.check_not_existing(args, job.output)]
    else:
        remain = record.remaining([result(job) for job in jobs], args.overwrite, args.skip_existing)
        todo = [job for job, remains in zip(jobs, remain) if remains]
    if len(todo) < len(jobs):
        print_message("%d of %d are done already" % (len(jobs) - len(todo), len(jobs)))
    return todo


def _run_here(
    jobs: Sequence[Any],
    record: Optional[manifest.Manifest],
    result: Callable[[Any], manifest.Result],
    task: Any,
    unit: str,
) -> Dict[str, str]:
    """Do all jobs in this process; returns ``{output: reason}`` of those that failed."""
    failures: Dict[str, str] = {}
    for job in tqdm(jobs, unit=unit, disable=len(jobs) < 2):
        try:
            task(job)
        except (StyleTransferError, MemoryError) as error:  # continue with the remaining ones
            reason = str(error) if isinstance(error, StyleTransferError) else "not enough memory; make it smaller"
            failures[job.output] = reason
            print_message(workers.describe_failure(job.output, reason))
        else:
            if record:
                record.add(result(job), task.choice)
    return failures
