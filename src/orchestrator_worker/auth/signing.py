"""Which secret signs tokens: the configured one, or outside production this machine's own."""

from orchestrator_worker.auth.tokens import TokenSigner, development_secret
from orchestrator_worker.config import Settings


def token_signer(settings: Settings) -> TokenSigner:
    """Return what signs and checks tokens.

    Raises:
        ConfigurationError: this machine's own secret can be neither read nor made.
    """
    configured = settings.auth.secret.get_secret_value() if settings.auth.secret else None
    if configured is None:
        configured = development_secret(settings.data_dir)
    return TokenSigner(configured, settings.auth.algorithm)
