"""The contract, kept by the paper broker and by the HTTP adapter in front of each profile of venue."""

import pytest

from tests.brokers.contract import BARS, FOREIGN, BrokerContract
from tests.brokers.tape import at, venue
from tradekit.sim.venue import Profile


class TestPaper(BrokerContract):
    @pytest.fixture
    def stage(self, tmp_path):
        broker, clock = venue(tmp_path, BARS, holdings=FOREIGN)
        yield broker, lambda when: clock.set(at(when))
        broker.close()


class TestHttpUnique(BrokerContract):
    profile = "unique"

    @pytest.fixture
    def stage(self, http_venue):
        served = http_venue(BARS, holdings=FOREIGN, profile=self.profile)
        return served.broker(), served.move


class TestHttpOpenOnly(TestHttpUnique):
    profile = ids = "open-only"


class TestHttpNone(TestHttpUnique):
    profile = ids = "none"


class TestHttpCumulative(TestHttpUnique):
    profile = Profile(fills="cumulative")
