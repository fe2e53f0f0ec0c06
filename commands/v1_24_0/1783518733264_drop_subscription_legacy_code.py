"""A command of a release that is not out yet."""

from sqlalchemy import Connection, text

from upgrader import instance_command


@instance_command("1.24.0", 1783518733264)
class DropSubscriptionLegacyCode:
    """Drop core.subscription.legacy_code, which no code has read since 1.22.0.

    The application is at 1.23.0, so this command is *dormant*: loaded, checked and listed, but not run before
    the application's version says 1.24.0. It may be merged and released ahead of its time.

    There is no `down`: what it drops cannot be brought back, and a command without one says so.
    """

    def up(self, connection: Connection) -> None:
        connection.execute(
            text("""
                -- squawk-ignore ban-drop-column
                ALTER TABLE core.subscription DROP COLUMN legacy_code
            """)
        )
