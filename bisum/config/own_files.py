"""A configuration source for Hydra that reads bisum's own YAML files, with a fast parser."""

from __future__ import annotations

from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from bisum.config.user_files import UserFiles
from bisum.interfaces.defaults import conf_values

OWN_SCHEME = "bisum-conf"


class OwnFiles(UserFiles):
    """The YAML files in `conf/`, which need no checks."""

    @staticmethod
    def scheme() -> str:
        """Return the URL scheme of the folder."""
        return OWN_SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file."""
        text = self._file(config_path).read_text(encoding="utf-8")
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(conf_values(text)),
            header=self._get_header_dict(text),
        )
