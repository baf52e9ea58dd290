"""What a caller signs in with."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A user name and a password, for Basic and for Digest, whichever the server asks for."""

    username: str
    password: str = field(repr=False)
