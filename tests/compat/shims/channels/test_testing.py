"""``channels.testing``, for what starts the process of its server itself."""

from pathlib import Path

from tests.testing.of_channels import with_alias


def test_a_test_case_that_starts_its_server(tmp_path: Path) -> None:
    """With the alias, a ``setUpClass`` that does what Channels' own does still does it."""
    project = with_alias(
        tmp_path,
        """
        import functools, os, urllib.request

        from channels.testing import ChannelsLiveServerTestCase as Base
        from channels.testing.live import DaphneProcess, make_application
        from django.contrib.contenttypes.models import ContentType
        from django.db import connections
        from django.test.utils import modify_settings

        class Test(Base):
            host = "127.0.0.1"

            @classmethod
            def setUpClass(cls):
                assert not any(cls._is_in_memory_db(each) for each in connections.all())
                super(Base, cls).setUpClass()
                cls.enterClassContext(modify_settings(ALLOWED_HOSTS={"append": cls.host}))
                get_application = functools.partial(
                    make_application, static_wrapper=cls.static_wrapper
                )
                assert cls.ProtocolServerProcess is DaphneProcess
                cls._server_process = cls.ProtocolServerProcess(cls.host, get_application)
                cls._server_process.start()
                assert cls._server_process.ready.wait(50)
                cls._port = cls._server_process.port.value

            @classmethod
            def tearDownClass(cls):
                cls._server_process.terminate()
                cls._server_process.join()
                super().tearDownClass()

            def test_data(self):
                ContentType.objects.create(app_label="one", model="two")
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(f"{self.live_server_url}/") as answer:
                    assert answer.read() == b"1"
                assert self.live_server_ws_url == f"ws://127.0.0.1:{self._port}"
        """,
    )
    with project.manage("test", "--noinput") as process:
        assert process.finish() == 0, process.seen
    assert "OK" in process.seen
