"""The ground that a journal stands on."""

from pathlib import Path

import pytest

from miniagents import JournalError
from miniagents.journal.sqlite.file_system import check_file_system, check_sqlite

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/local tmpfs rw 0 0
//server/share /mnt/mein\\040übel cifs rw 0 0
sshfs /mnt/ssh fuse.sshfs rw 0 0
host /mnt/host virtiofs rw 0 0
/dev/sdb /mnt/over nfs rw 0 0
/dev/sdb /mnt/over ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/me", "nfs4"), ("/mnt/mein übel", "cifs"), ("/mnt/ssh/deep", "fuse.sshfs"), ("/mnt/host", "virtiofs")],
)
def test_a_file_system_on_which_the_log_can_lose_data_is_refused_by_name(folder: str, kind: str) -> None:
    with pytest.raises(JournalError, match=rf"journal\.db is on {kind} .*rollback_journal=True"):
        check_file_system(Path(folder) / "journal.db", MOUNTS)


@pytest.mark.parametrize("folder", ["/", "/srv", "/home/local/me", "/homework", "/mnt/over"])
def test_the_deepest_and_latest_mount_of_the_folder_counts(folder: str) -> None:
    check_file_system(Path(folder) / "journal.db", MOUNTS)


def test_the_file_system_of_this_machine_is_looked_up(tmp_path: Path) -> None:
    check_file_system(tmp_path / "journal.db")


def test_an_old_sqlite_is_refused() -> None:
    check_sqlite((3, 35, 0))
    with pytest.raises(JournalError, match=r"needs SQLite 3\.35\.0 or newer, and this Python has 3\.34\.1"):
        check_sqlite((3, 34, 1))
