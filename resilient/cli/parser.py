"""Arguments that all commands share, and how they complain."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..settings import Settings

    Parsers = argparse._SubParsersAction[argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read on; exit code 2."""
        print(f"{self.prog}: {message}; see '{self.prog} --help'", file=sys.stderr)
        sys.exit(2)


def common(parser: argparse.ArgumentParser) -> None:
    """Add what every command that asks a registry takes."""
    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "--registry", metavar="URL", help="the registry; else RESILIENT_REGISTRY, this machine, mDNS"
    )
    group.add_argument("--token", help="its token; better RESILIENT_TOKEN, since others see arguments")
    group.add_argument("--json", action="store_true", help="print JSON")


def settings_of(args: argparse.Namespace) -> Settings:
    """Settings with the arguments of `common`; ConfigError names the option or the variable."""
    from ..settings import RegistryAddress, Settings

    for url in (args.registry or "").split(","):
        try:
            if url.strip():
                RegistryAddress.parse(url)
        except ValueError as error:
            raise ConfigError(f"--registry {error}; write --registry http://127.0.0.1:8761/eureka/") from None
    if args.registry is not None and not args.registry.strip(", "):
        raise ConfigError("--registry is empty; write --registry http://127.0.0.1:8761/eureka/")
    return Settings.load(os.environ, registry=args.registry, token=args.token)


def source_name(name: str, source: str) -> str:
    """Where a value came from, in the words of the command line."""
    return f"--{name.replace('_', '-')}" if source == "argument" else source
