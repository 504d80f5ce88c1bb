"""How many tokens a text will be, roughly, without asking anybody.

Good enough for decisions (is a prefix worth caching, does a text need reducing, what may a call
cost); what a call did use is what the API reports, in `usage.py`.
"""

BYTES_PER_TOKEN = 3
"""Of UTF-8. Anthropic's old rule of thumb is 4 characters of English to the token, and the
tokenizer of Claude 4.7 and later makes about 30 % more tokens of the same text: 3.1 characters. A
Chinese, Japanese or Korean character is three bytes and about one token, so bytes serve both.
Models before 4.7 use a quarter less than this says.
"""


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` is; 0 only for none. One pass at copying speed."""
    # What cannot be encoded (half of a surrogate pair) still has a size.
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-size // BYTES_PER_TOKEN)
