"""What people may write, and what they are told when they may not."""

import unicodedata

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.exceptions import ValidationError

from .models import MAX_NAME, MAX_TEXT

INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}  # Unicode's categories of what shows no mark


def must_show(text: str) -> None:
    """Refuse text in which nothing can be seen, such as one zero-width space."""
    if all(unicodedata.category(character) in INVISIBLE for character in text):
        raise ValidationError("Write something first.", code="required")


def must_be_text(text: str) -> None:
    """Refuse half characters (lone surrogates): JSON can carry them, a database cannot."""
    if any(unicodedata.category(character) == "Cs" for character in text):
        raise ValidationError("That is not text.", code="surrogate")


# One field, used for every message: it strips, refuses NUL, and measures.
message_text = forms.CharField(
    max_length=MAX_TEXT,
    validators=[must_be_text, must_show],
    error_messages={
        "required": "Write something first.",
        "max_length": "That is too long: %(show_value)d characters, and %(limit_value)d fit.",
    },
)


class RoomForm(forms.Form):
    """The name of a room to open."""

    name = forms.CharField(
        max_length=MAX_NAME,
        validators=[must_be_text, must_show],
        widget=forms.TextInput(attrs={"placeholder": "Tea room, Καφενείο, حديقة…", "dir": "auto"}),
    )

    def clean_name(self) -> str:
        """Give one spelling to names that look the same: composed, and single spaces."""
        name: str = self.cleaned_data["name"]
        return " ".join(unicodedata.normalize("NFC", name).split())


class SignUpForm(UserCreationForm):
    """A name and a password, twice."""
