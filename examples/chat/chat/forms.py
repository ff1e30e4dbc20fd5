"""What people may write, and what they are told when they may not."""

import unicodedata

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.exceptions import ValidationError

from .models import MAX_NAME, MAX_TEXT

# Unicode's categories of what shows no mark alone, and the blanks that it counts as letters.
INVISIBLE = {"Cc", "Cf", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"}
BLANK = set("\u115f\u1160\u2800\u3164\uffa0")


def must_show(text: str) -> None:
    """Refuse text in which nothing can be seen, such as one zero-width space."""
    start = text[:MAX_TEXT]  # the rest is too long anyway; nobody waits for a megabyte to be read
    if all(each in BLANK or unicodedata.category(each) in INVISIBLE for each in start):
        raise ValidationError("Write something first.", code="required")


def must_be_text(text: str) -> None:
    """Refuse half characters (lone surrogates): JSON can carry them, a database cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("That is not text.", code="surrogate") from None


# One field, used for every message: it strips, refuses NUL, and measures.
message_text = forms.CharField(
    max_length=MAX_TEXT,
    validators=[must_be_text, must_show],
    error_messages={
        "required": "Write something first.",
        "max_length": "That is too long: %(show_value)d characters, and %(limit_value)d fit.",
    },
)


class NameField(forms.CharField):
    """A name, in one spelling for all that look the same: composed, and single spaces."""

    def to_python(self, value: object) -> str:
        """Spell it so before it is measured: some characters are longer when composed."""
        name: str = super().to_python(value) or ""
        return " ".join(unicodedata.normalize("NFC", name).split())


class RoomForm(forms.Form):
    """The name of a room to open."""

    name = NameField(
        max_length=MAX_NAME,
        validators=[must_be_text, must_show],
        widget=forms.TextInput(attrs={"placeholder": "Tea room, Καφενείο, حديقة…", "dir": "auto"}),
    )


class SignUpForm(UserCreationForm):
    """A name and a password, twice."""
