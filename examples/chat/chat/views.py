"""The pages. They are ordinary Django views; what is live in them comes through consumers.py."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from .demo import PASSWORD, PEOPLE
from .forms import RoomForm, SignUpForm
from .live import EVERYONE, tell_from_sync
from .models import MAX_TEXT, Room
from .people import User


class SignedIn(HttpRequest):
    """A request behind `login_required`."""

    user: User


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: SignedIn) -> HttpResponse:
    """Show where one can go; a POST opens a room."""
    form = RoomForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        room, created = Room.objects.get_or_create(
            name=form.cleaned_data["name"], defaults={"created_by": request.user}
        )
        if created:
            tell_from_sync(EVERYONE, {"type": "room", "id": room.pk, "name": room.name})
        return redirect("room", room.pk)
    others = User.objects.filter(is_active=True).exclude(pk=request.user.pk)
    context = {"form": form, "others": others.order_by("username")[:60]}
    return render(request, "chat/home.html", context)


@login_required
@require_safe
def room(request: SignedIn, room_id: int) -> HttpResponse:
    """Show a room; its messages come through its socket."""
    here = get_object_or_404(Room, pk=room_id)
    return render(request, "chat/room.html", {"room": here, "max_text": MAX_TEXT})


@login_required
@require_safe
def person(request: SignedIn, user_id: int) -> HttpResponse:
    """Show the private conversation with one other person."""
    other = get_object_or_404(User.objects.exclude(pk=request.user.pk), pk=user_id)
    return render(request, "chat/person.html", {"other": other, "max_text": MAX_TEXT})


def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account and log in with it; who is logged in already has one."""
    if request.user.is_authenticated:
        return redirect("home")
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.save())
        return redirect("home")
    return render(request, "registration/sign_up.html", {"form": form})


class LoginView(views.LoginView):
    """Django's own, and in development with the demo users to choose from."""

    redirect_authenticated_user = True

    def get_form(self, form_class: Any = None) -> Any:
        """Leave the focus at the top: it would scroll a small screen past the demo's people."""
        form = super().get_form(form_class)
        form.fields["username"].widget.attrs.pop("autofocus", None)
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the demo users that exist, and their password, which is no secret."""
        demo = User.objects.filter(username__in=PEOPLE) if settings.DEBUG else User.objects.none()
        return {
            **super().get_context_data(**kwargs),
            "demo_people": demo.order_by("pk"),
            "demo_password": PASSWORD,
        }
