"""What a moderator can look at and remove. Private messages are not there on purpose."""

from django.contrib import admin

from .models import Room, RoomMessage


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Rooms by name."""

    list_display = ["name", "created_by", "created_at"]
    search_fields = ["name"]


@admin.register(RoomMessage)
class RoomMessageAdmin(admin.ModelAdmin):
    """What was said, newest first."""

    list_display = ["room", "author", "text", "sent_at"]
    list_filter = ["room"]
    search_fields = ["text"]
    ordering = ["-id"]
