"""The official clients of the Open Inference Protocol, and requests by hand, against a running gateway.

    test_clients.py URL MODEL AXIS...

URL is that of the gateway (http://host:port), AXIS... the shape of one sample. Each check prints a line, and a
traceback if it fails; the status is 1 if any did.
"""

import argparse
import traceback

import tritonclient.http as triton

# Importing a module registers its checks.
import with_triton  # noqa: F401
import with_kserve  # noqa: F401
import by_hand  # noqa: F401
from support import CHECKS, Target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("axes", nargs="+", type=int)
    arguments = parser.parse_args()
    target = Target(arguments.url, arguments.model, arguments.axes)
    client = triton.InferenceServerClient(target.host, concurrency=4)
    failed = 0
    for function in CHECKS:
        try:
            function(target, client)
            print("ok  ", function.__name__)
        except Exception:
            failed += 1
            print("FAIL", function.__name__)
            traceback.print_exc()
    client.close()
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
