"""`python -m gateway`, the same as `gateway`."""

from gateway.cli import app

if __name__ == "__main__":
    app(prog_name="gateway")
