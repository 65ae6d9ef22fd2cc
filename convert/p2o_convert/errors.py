"""What goes wrong inside a conversion, as opposed to what a user got wrong."""


class ConversionError(RuntimeError):
    """A stage produced a model that is not what went in; its text is one line."""
