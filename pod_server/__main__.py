"""Run the command line with ``python -m pod_server``."""

from pod_server.cli import main

if __name__ == "__main__":
    main()
