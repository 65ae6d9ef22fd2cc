"""Bundle -> the same bundle with the credits of its exemplars written anew, and a NOTICE."""

import sys

from p2o_shapedb.command import atomic_path, parse, run_command
from p2o_shapedb.config import CreditConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(CreditConfig, "Write the credits of a bundle's exemplars into it, and a NOTICE.")

    def body() -> None:
        from p2o_shapedb.packing.notice import credit_bundle, notice

        bundle = credit_bundle(config.bundle)
        if config.notice is not None:
            with atomic_path(config.notice, overwrite=True) as temporary:
                temporary.write_text(notice(bundle.exemplars), encoding="utf-8")
        print(f"wrote the credits of {len(bundle.exemplars)} exemplars in {config.bundle}")

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
