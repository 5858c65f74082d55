"""What every chunk of the sample knows: its seed, its season, the chain, and where its own random numbers come from."""

from dataclasses import dataclass
from datetime import date
from zlib import crc32
from zoneinfo import ZoneInfo

from pipelines.sample.chain import Chain, chain_of
from pipelines.sample.draw import Rng, stream
from pipelines.sample.season import Offsets, Season, offsets_of, season_of

CHUNK = 25_000


@dataclass(frozen=True, slots=True)
class World:
    """One sample: everything that is the same in all its chunks."""

    seed: int
    customers: int
    days: int
    end_on: date
    scale: float
    season: Season
    offsets: Offsets
    chain: Chain

    def rng(self, chunk: int, topic: str) -> Rng:
        """The random numbers of one topic in one chunk; no other topic or chunk can shift them."""
        return stream(self.seed, self.customers, self.days, self.end_on.toordinal(), chunk, crc32(topic.encode()))

    def persons_of(self, chunk: int) -> range:
        """The customer numbers of a chunk."""
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, self.customers))


def world_of(*, customers: int, days: int, seed: int, end_on: date, zone: ZoneInfo, scale: float) -> World:
    """The world of one sample; the same arguments give the same world."""
    season = season_of(days=days, end_on=end_on)
    return World(
        seed=seed,
        customers=customers,
        days=days,
        end_on=end_on,
        scale=scale,
        season=season,
        offsets=offsets_of(zone, first=season.first - 1600, last=season.last + 800),
        chain=chain_of(seed=seed, customers=customers, season=season),
    )
