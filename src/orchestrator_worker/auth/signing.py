"""Which secret signs tokens: the configured one, or outside production this machine's own."""

from orchestrator_worker.auth.tokens import TokenSigner, development_secret
from orchestrator_worker.config import SAMPLE_JWT_SECRET, Settings


def token_signer(settings: Settings) -> TokenSigner:
    """Return what signs and checks tokens.

    Raises:
        ConfigurationError: this machine's own secret can be neither read nor made.
    """
    configured = settings.auth.secret.get_secret_value() if settings.auth.secret else None
    # Everybody knows the sample, so it signs nothing even in development.
    if configured is None or configured == SAMPLE_JWT_SECRET:
        configured = development_secret(settings.data_dir)
    return TokenSigner(configured, settings.auth.algorithm)
