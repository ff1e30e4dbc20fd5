"""One slice of a coverage-guided run, as a process of its own: libFuzzer ends the process it is in.

python worker.py TARGET SECONDS CORPUS FINDINGS
"""

import importlib
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))

#: Most bytes of an input: enough for the longest line that a chunk may begin with.
MAX_INPUT = 2048


def main(name: str, seconds: int, corpus: Path, findings: Path) -> None:
    """Fuzz one target for so long; the input directory gets what reaches new code."""
    with atheris.instrument_imports(include=["fairway.wire", "fairway.server.listening"]):
        target = importlib.import_module("fuzzing.targets").TARGETS[name]
    recorder = importlib.import_module("fuzzing.findings").Recorder(name, target.check, findings)
    with tempfile.TemporaryDirectory() as directory:
        seeds = Path(directory) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds):
            (seeds / str(number)).write_bytes(seed)
        tokens = Path(directory) / "tokens"
        tokens.write_text("".join(f'"{_escaped(token)}"\n' for token in target.tokens))
        corpus.mkdir(parents=True, exist_ok=True)
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                f"-max_len={MAX_INPUT}",
                f"-dict={tokens}",
                f"-artifact_prefix={findings}/{name}-",
                "-timeout=30",
                "-rss_limit_mb=1500",
                "-print_final_stats=1",
                str(corpus),
                str(seeds),
            ],
            recorder,
        )
        atheris.Fuzz()


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
