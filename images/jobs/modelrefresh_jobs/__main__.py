"""Entry of every stage: `python -m modelrefresh_jobs <stage>` in a pod, flags at a shell.

In a pod the request comes from the environment; by hand `cli` builds it from flags. Takes over signals before
anything else is loaded, and leaves them so that none interrupts the end of the process. Knows no stage's work.
"""

import sys

from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh_jobs.process import signals


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; the return value is the process's exit code."""
    signals.install()
    import logging
    import os

    from modelrefresh.contract import stage_request
    from modelrefresh.contract.vocabulary import Stage
    from modelrefresh_jobs.attempt import in_pod
    from modelrefresh_jobs.by_hand import cli
    from modelrefresh_jobs.process import log_lines

    words = sys.argv[1:] if arguments is None else arguments
    from_pod = stage_request.INPUT_VARIABLE in os.environ and len(words) == 1 and words[0] in set(Stage)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(log_lines.Formatter("%(asctime)s %(levelname)s %(message)s" if from_pod else "%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return in_pod.run(Stage(words[0])).exit_code if from_pod else cli.main(words)


def entry() -> int:
    """The whole life of the process; `main` beside what a signal may do before and after a stage's own boundary."""
    code: int = ExitCode.PREEMPTED
    try:
        code = main()
    except SystemExit as error:  # of argparse, after --help; of a library, whatever it says
        code = error.code if isinstance(error.code, int) else ExitCode.INTERNAL if error.code else ExitCode.OK
    except (signals.Preempted, KeyboardInterrupt) as error:
        sys.stderr.write(f"Preempted: {error or 'asked to leave before anything began'}\n")
    signals.ending(code)
    return code


if __name__ == "__main__":
    sys.exit(entry())
