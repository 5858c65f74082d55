"""Write the next migration from the tables as they are now: `make_migration.py 0002 "What it does"`."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from api.storage.database import Database
from api.storage.schema import MIGRATIONS, upgrade
from segment_engine.runtime.settings import SharedSettings

OURS = {
    r"api\.storage\.types\.(Flag|Document)\(\)": r"\1()",
    r"api\.storage\.types\.Moment\(timezone=True\)": "Moment()",
    r"sa\.BigInteger\(\)\.with_variant\(sa\.Integer\(\), 'sqlite'\)": "Whole",
    r" +# ### .* ###\n": "",
}


def main(number: str, message: str) -> None:
    """Compare an up-to-date empty SQLite store with the tables, and write what differs; read it before committing."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(SharedSettings(data_dir=Path(folder)))
        if any(MIGRATIONS.glob("versions/0*.py")):
            upgrade(database)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))

        def work(connection: Connection) -> None:
            config.attributes["connection"] = connection
            command.revision(config, message, autogenerate=True, rev_id=number)

        database.write(work)
        database.close()
    (file,) = MIGRATIONS.glob(f"versions/{number}_*.py")
    text = file.read_text(encoding="utf-8")
    for found, ours in OURS.items():
        text = re.sub(found, ours, text)
    file.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix", "--quiet", file], check=False)  # noqa: S603
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", file], check=False)  # noqa: S603


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
