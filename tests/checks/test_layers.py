"""What the check of ``CHANNEL_LAYERS`` finds, and says."""

import pytest

from fairway.layers import InMemoryChannelLayer
from tests.checks.running import Settings, run

REDIS = "fairway.layers.redis.RedisChannelLayer"


class StrictLayer:
    """A backend with a required option."""

    def __init__(self, hosts: list[str], prefix: str = "asgi") -> None:
        self.hosts = hosts


class OpenLayer:
    """A backend that takes any option."""

    def __init__(self, **options: object) -> None:
        self.options = options


number = 1


class TestChannelLayers:
    @pytest.mark.parametrize(
        "layers",
        [
            {},
            {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}},
            {
                "default": {
                    "BACKEND": "fairway.layers.InMemoryChannelLayer",
                    "CONFIG": {"capacity": 5, "channel_capacity": {"jobs.*": 500}},
                    "TEST_CONFIG": {"expiry": 1},
                },
                "other": {"BACKEND": f"{__name__}.OpenLayer", "CONFIG": {"anything": "goes"}},
                "strict": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"hosts": []}},
            },
        ],
    )
    def test_good_ones(self, settings: Settings, layers: object) -> None:
        """Layers that can be made are fine, and so are none."""
        settings.CHANNEL_LAYERS = layers
        assert run() == []

    @pytest.mark.parametrize(
        ("layers", "identifier", "message", "hint"),
        [
            (
                None,
                "E006",
                "CHANNEL_LAYERS must be a dictionary of aliases, not None.",
                'Write CHANNEL_LAYERS = {"default": {"BACKEND": "…", "CONFIG": {…}}}.',
            ),
            (
                {"default": "fairway.layers.InMemoryChannelLayer"},
                "E006",
                (
                    "CHANNEL_LAYERS['default'] must be a dictionary, not "
                    "'fairway.layers.InMemoryChannelLayer'."
                ),
                'Write {"BACKEND": "…", "CONFIG": {…}}.',
            ),
            (
                {
                    "default": {
                        "BACKEND": "fairway.layers.InMemoryChannelLayer",
                        "CONFIG": [("capacity", 5)],
                    }
                },
                "E006",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] must be a dictionary of options, not "
                    "[('capacity', 5)]."
                ),
                'Write {"capacity": 1000}, say, or leave it out.',
            ),
            (
                {"default": {"CONFIG": {}}},
                "E007",
                "CHANNEL_LAYERS['default'] has no BACKEND.",
                'Add "BACKEND": "fairway.layers.InMemoryChannelLayer", say.',
            ),
            (
                {"default": {"BACKEND": "fairway.layers.InMemoryLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'fairway.layers.InMemoryLayer', but "
                    "module 'fairway.layers' has no 'InMemoryLayer'."
                ),
                "Did you mean 'InMemoryChannelLayer'?",
            ),
            (
                {"default": {"BACKEND": "nowhere.core.Layer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'nowhere.core.Layer', but there is "
                    "no module 'nowhere'."
                ),
                "Correct the path, or install the package that has it.",
            ),
            (
                {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND "
                    "'channels.layers.InMemoryChannelLayer', but there is no module 'channels'."
                ),
                (
                    'Write "fairway.layers.InMemoryChannelLayer", or call fairway.compat.install() '
                    "in the first lines of settings."
                ),
            ),
            (
                {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'channels_redis.core."
                    "RedisChannelLayer', but there is no module 'channels_redis'."
                ),
                (
                    'Write "fairway.layers.redis.RedisChannelLayer", which takes the same CONFIG, '
                    "or start with FAIRWAY_COMPAT=1 in the environment."
                ),
            ),
            (
                {"default": {"BACKEND": "fairway.layers.RedisChannelLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'fairway.layers.RedisChannelLayer', "
                    "but module 'fairway.layers' has no 'RedisChannelLayer'."
                ),
                'Write "fairway.layers.redis.RedisChannelLayer".',
            ),
            (
                {"default": {"BACKEND": InMemoryChannelLayer}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND <class "
                    "'fairway.layers.memory.InMemoryChannelLayer'>, but that is not text."
                ),
                "Correct the path, or install the package that has it.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"host": "x"}}},
                "E009",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] has the option 'host', which its backend "
                    "does not know."
                ),
                "Did you mean 'hosts'? It takes hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {3: "x"}}},
                "E009",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] has the option 3, which its backend does "
                    "not know."
                ),
                "It takes hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"prefix": "x"}}},
                "E009",
                "CHANNEL_LAYERS['default']['CONFIG']: missing a required argument: 'hosts'.",
                "Options of this backend: hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": REDIS, "CONFIG": {"hosts": "redis://localhost"}}},
                "E021",
                (
                    "CHANNEL_LAYERS['default']['CONFIG']: You must pass a list of Redis hosts, "
                    "even if there is only one."
                ),
                "docs/layers.md and docs/redis.md have examples of all options.",
            ),
            (
                {"default": {"BACKEND": REDIS, "CONFIG": {"serializer_format": "yaml"}}},
                "E021",
                (
                    "CHANNEL_LAYERS['default']['CONFIG']: There is no serializer for "
                    "serializer_format='yaml', only 'json', 'msgpack'."
                ),
                "docs/layers.md and docs/redis.md have examples of all options.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", "ROUTING": "x.y"}},
                "E010",
                "CHANNEL_LAYERS['default'] has a ROUTING key, which only Channels 1 had.",
                "Remove it; ASGI_APPLICATION is where routing begins.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", "CONFIGS": {}}},
                "W003",
                "CHANNEL_LAYERS['default'] has the key 'CONFIGS', which nothing reads.",
                (
                    "Did you mean 'CONFIG'? It may have BACKEND, TEST_CONFIG and CONFIG, which has "
                    "the layer's options."
                ),
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", 7: {}}},
                "W003",
                "CHANNEL_LAYERS['default'] has the key 7, which nothing reads.",
                "It may have BACKEND, TEST_CONFIG and CONFIG, which has the layer's options.",
            ),
        ],
    )
    def test_bad_ones(
        self, settings: Settings, layers: object, identifier: str, message: str, hint: str
    ) -> None:
        """Each mistake is named with its place and what to write instead."""
        settings.CHANNEL_LAYERS = layers
        assert run() == [(f"fairway.{identifier}", message, hint)]

    def test_none_at_all(self, settings: Settings) -> None:
        """Without the setting there is a layer by default."""
        del settings.CHANNEL_LAYERS
        assert run() == []

    def test_all_mistakes_are_found_at_once(self, settings: Settings) -> None:
        """Every entry is looked at, and every option in it."""
        strict = f"{__name__}.StrictLayer"
        settings.CHANNEL_LAYERS = {
            "a": {"BACKEND": strict, "CONFIG": {"x": 1, "y": 2}, "TEST_CONFIG": {"z": 3}},
            "b": {"ROUTING": []},
        }
        assert [identifier for identifier, _, _ in run()] == [
            *["fairway.E009"] * 3,
            "fairway.E010",
            "fairway.E007",
        ]

    @pytest.mark.parametrize("config", [{}, {"x": 1}])
    def test_a_backend_that_is_no_class(self, settings: Settings, config: object) -> None:
        """Options of something that cannot be called cannot be compared; nothing crashes."""
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.number", "CONFIG": config}}
        assert run() == []


class TestProcesses:
    @pytest.mark.parametrize("value", ["4", "auto"])
    def test_the_in_memory_layer_with_several(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        """A process-wide layer is warned about where the environment asks for processes."""
        monkeypatch.setenv("WEB_CONCURRENCY", value)
        monkeypatch.setattr("fairway.server.workers.processors.processors", lambda: 4)
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"},
            "other": {"BACKEND": f"{__name__}.OpenLayer"},
        }
        assert run() == [
            (
                "fairway.W002",
                (
                    "CHANNEL_LAYERS['default'] is the in-memory layer, but WEB_CONCURRENCY asks "
                    "for 4 processes: a message reaches only the sockets of the process that "
                    "sends it."
                ),
                "Use a layer across processes (see docs/layers.md), or start one process.",
            )
        ]

    @pytest.mark.parametrize("value", ["", "1", "0", "many"])
    def test_one_process_is_fine(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        """One process, or a value that means nothing, is not several."""
        monkeypatch.setenv("WEB_CONCURRENCY", value)
        assert run() == []
