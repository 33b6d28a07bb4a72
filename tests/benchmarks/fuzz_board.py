"""Throw bytes at the board protocol's reference in C, built with AddressSanitizer and UBSan.

Run ``python tests/benchmarks/fuzz_board.py`` for 10⁷ bytes of one seed; ``--bytes 1e9 --seeds 8`` for more. It prints
what was thrown, and exits with 1 when a sanitizer found something or the board no longer answered.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.reference_board import ASAN, COMPILER, built


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=float, default=1e7)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    if COMPILER is None:
        print("there is no C compiler cc on this machine")
        return 2
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        program = built("fuzz", Path(folder), ASAN)
        for seed in range(1, asked.seeds + 1):
            done = subprocess.run([str(program), str(int(asked.bytes)), str(seed)], check=False)
            print(f"seed {seed}: {'nothing found' if done.returncode == 0 else f'exit code {done.returncode}'}")
            found += done.returncode != 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
