"""Lets atheris, a fuzzer guided by what code was reached, work on one target or on all: `make fuzz`.

    FUZZ_SECONDS=60 python tests/fuzz/run_target.py [TARGET …]

Each target runs in a process of its own, as long as FUZZ_SECONDS says. An input that a target fails on is written to
the folder `fuzz-findings/` and told with its name; `--input FILE TARGET` runs the target on it alone, without atheris.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.targets import TARGETS

#: Longest input in bytes, seconds that one may take, and mebibytes that the process may hold.
_LONGEST, _SECONDS, _MEBIBYTES = 1 << 16, 20, 3072


def fuzz(name: str) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    target = TARGETS[name]
    findings = Path("fuzz-findings")
    findings.mkdir(exist_ok=True)
    seconds = os.environ.get("FUZZ_SECONDS", "60")
    with TemporaryDirectory() as corpus:
        for number, content in enumerate(target.seeds()):
            (Path(corpus) / f"seed{number}").write_bytes(content)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST}",
            f"-timeout={_SECONDS}",
            f"-rss_limit_mb={_MEBIBYTES}",
            f"-artifact_prefix={findings}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.instrument_all()
        atheris.Setup([name, *options, corpus], target.fuzz_one)
        atheris.Fuzz()


def main(words: list[str]) -> int:
    """Fuzz the named targets, or all, one after another; 1 where one failed."""
    if words[:1] == ["--one"]:
        fuzz(words[1])
        return 0
    if words[:1] == ["--input"]:
        TARGETS[words[2]].fuzz_one(Path(words[1]).read_bytes())
        return 0
    failed = []
    for name in words or list(TARGETS):
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, __file__, "--one", name], check=False).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "no target failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
