"""What a server allows in a minute: requests, tokens, and no more for now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

from rag.core.types import Priority
from rag.llm.schedule.charging import ALWAYS, WHEN_SHOWN, Account, Demand
from rag.llm.schedule.limit import WINDOW_S, Entry, Limit, Pace, SlidingWindow

_REST_S: Final = 1.0
"""After a refusal that names no time; doubled while refusals follow each other."""
_LONGEST_REST_S: Final = 30.0
_PROBE_S: Final = 2.0
"""Who says 429 says it at once."""
_FASTER: Final = 1.05
"""Than even: the windows hold the limits, the pace only spreads, and what it holds back is lost."""
_BATCH_AHEAD: Final = (1.0, 1)
_INTERACTIVE_AHEAD: Final = (15.0, 10)
"""Seconds, and requests, that may go before their time: a few questions in a row, but no flood for which all others
then wait a minute."""
_LARGE_AHEAD: Final = 3
"""Requests of which each takes a good part of a minute's tokens: the rests between them are to be filled."""
_MOST_AHEAD_S: Final = 30.0
_LEAST_BURST: Final = 0.01
_BURST_AGAIN: Final = 1.005
_RECENT: Final = 16
_NO_ACCIDENT: Final = 0.2
"""Of the latest requests: a server that refuses fewer than these has no limit that was reached, only a bad day."""
_NOTICEABLE_SHARE: Final = 0.02
_LEAST_REQUESTS: Final = 10.0
_LEAST_TOKENS: Final = 10_000.0


class RateLimits(Protocol):
    """What a server's headers say of its limits; None where they say nothing."""

    @property
    def limit_requests(self) -> int | None: ...
    @property
    def remaining_requests(self) -> int | None: ...
    @property
    def limit_tokens(self) -> int | None: ...
    @property
    def remaining_tokens(self) -> int | None: ...


@dataclass(slots=True, eq=False)
class Charges:
    """Of one request: what was counted for it, to be corrected when it ends."""

    demand: Demand
    request: Entry
    tokens: tuple[Entry, ...]
    token_pace_s: float
    overdrawn: tuple[Account, ...]
    used: tuple[float, float]
    """Requests and tokens in the minute before, this one included."""
    sent_at: float
    is_accepted: bool = False
    is_over: bool = False


class Rates:
    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self.request_limit = Limit(requests_per_minute, least_learned=_LEAST_REQUESTS)
        self.token_limit = Limit(tokens_per_minute, least_learned=_LEAST_TOKENS)
        self._requests = SlidingWindow(self.request_limit)
        self._accounts = [
            *(Account(charging, self.token_limit, is_held=True) for charging in ALWAYS),
            *(Account(charging, self.token_limit, is_held=False) for charging in WHEN_SHOWN),
        ]
        self._request_pace, self._token_pace = Pace(), Pace()
        self._burst = 1.0
        self.rest_until = -math.inf
        self._n_refusals = 0
        self._refused_at = -math.inf
        self._refused_share = 0.0
        self._probe: Charges | None = None

    # Before it is sent

    def wait_s(self, now: float, demand: Demand, priority: Priority) -> float:
        """Seconds until such a request may be sent. Batch goes at even distances and leaves room in every second;
        interactive may come in a burst until the server shows that it minds. After a refusal one is
        sent first, and the others when it is not refused."""
        wait_s = max(0.0, self.rest_until - now, self._requests.wait_s(now, 1))
        if self._probe is not None:
            wait_s = max(wait_s, self._probe.sent_at + _PROBE_S - now)
        for account in self._accounts:
            if account.is_held:
                wait_s = max(wait_s, account.wait_s(now, demand))
        least_s, n_requests = _BATCH_AHEAD if priority == "batch" else _INTERACTIVE_AHEAD
        requests_s = max(least_s, n_requests * self._pace_s(1, self.request_limit, now))
        tokens_s = max(least_s, _LARGE_AHEAD * self._pace_s(demand.total, self.token_limit, now))
        return max(
            wait_s,
            self._request_pace.wait_s(now, self._burst * min(WINDOW_S, requests_s)),
            self._token_pace.wait_s(now, self._burst * min(_MOST_AHEAD_S, tokens_s)),
        )

    def interval_s(self, now: float, n_tokens: float) -> float:
        """Between requests of so many tokens, in the long run."""
        requests, tokens = self.request_limit.allowed(now), self.token_limit.allowed(now)
        return WINDOW_S * max(1 / requests, n_tokens / tokens)

    # On its way

    def send(self, now: float, demand: Demand) -> Charges:
        overdrawn = tuple(one for one in self._accounts if not one.is_held and one.is_overdrawn(now))
        request = self._requests.take(now, 1)
        tokens = tuple(account.send(now, demand) for account in self._accounts)
        self._request_pace.take(now, self._pace_s(1, self.request_limit, now))
        token_pace_s = self._pace_s(demand.total, self.token_limit, now)
        self._token_pace.take(now, token_pace_s)
        charges = Charges(demand, request, tokens, token_pace_s, overdrawn, self._used(now), now)
        if self._n_refusals:
            self._probe = charges
        return charges

    def end(self, now: float, charges: Charges, n_input: int | None, n_output: int | None) -> None:
        """None: not known, as much as was expected."""
        self._has_reported(charges)
        if charges.is_over:
            return
        charges.is_over = True
        demand = charges.demand
        n_input = demand.n_input if n_input is None else n_input
        n_output = demand.n_output if n_output is None else n_output
        for account, entry in zip(self._accounts, charges.tokens, strict=True):
            account.end(now, entry, n_input, n_output)
        if demand.total:
            self._token_pace.give_back(charges.token_pace_s * (1 - (n_input + n_output) / demand.total))

    def undo(self, now: float, charges: Charges) -> None:
        """It was never sent."""
        self._has_reported(charges)
        if not charges.is_over:
            self._undo(now, charges)

    @staticmethod
    def _pace_s(amount: float, limit: Limit, now: float) -> float:
        return WINDOW_S * min(1.0, amount / (limit.allowed(now) * _FASTER))

    def _has_reported(self, charges: Charges) -> None:
        if charges is self._probe:
            self._probe = None

    def _undo(self, now: float, charges: Charges) -> None:
        charges.is_over = True
        self._requests.correct(charges.request, 0)
        self._request_pace.give_back(self._pace_s(1, self.request_limit, now))
        for account, entry in zip(self._accounts, charges.tokens, strict=True):
            account.undo(entry)
        self._token_pace.give_back(charges.token_pace_s)

    # What the server says

    def accepted(self, now: float, charges: Charges) -> None:
        """It answers."""
        if charges.is_accepted:
            return
        charges.is_accepted = True
        self._refused_share -= self._refused_share / _RECENT
        if charges is self._probe:
            self._n_refusals = 0
        self._has_reported(charges)
        self._burst = min(1.0, self._burst * _BURST_AGAIN)
        self.request_limit.accepted(charges.used[0])
        self.token_limit.accepted(charges.used[1])
        for account in charges.overdrawn:
            account.deny(now)
        for account in self._accounts:
            account.doubt(now)

    def rest(self, now: float, seconds: float) -> None:
        self.rest_until = max(self.rest_until, now + seconds)

    def refused(self, now: float, charges: Charges, sent_at: float, retry_after_s: float | None) -> bool:
        """It said 429. It is left alone for as long as it asks, and trusted with less if nothing else explains it.
        Returns whether its rates explain it; if not, there may have been too many at once."""
        self._has_reported(charges)
        self._undo(now, charges)
        if retry_after_s is not None:
            self.rest(now, retry_after_s)
        if sent_at <= self._refused_at:  # under way with the one that was refused before: no news
            return True
        was_refused_lately = now - self._refused_at < WINDOW_S
        self._refused_at = now
        self._n_refusals += 1
        self._refused_share += (1 - self._refused_share) / _RECENT
        if retry_after_s is None:
            self.rest(now, min(_LONGEST_REST_S, _REST_S * 2 ** (self._n_refusals - 1)))
        others = [account for account in self._accounts if account.would_refuse(now, charges.demand)]
        if others:  # the most lenient of those that explain it
            others[0].confirm(now)
            if others[0].is_held:  # a server counts in one way
                for account in self._accounts:
                    if account is not others[0]:
                        account.give_up()
            return True
        return self._lower(now, is_sure=was_refused_lately)

    def _lower(self, now: float, *, is_sure: bool) -> bool:
        """Returns whether a limit was all but used up."""
        n_requests, n_tokens = self._used(now)
        by_requests = self.request_limit.nearness(now, n_requests)
        by_tokens = self.token_limit.nearness(now, n_tokens)
        explained = self.request_limit.explains(now, n_requests) or self.token_limit.explains(now, n_tokens)
        if not explained:
            self._burst = max(_LEAST_BURST, self._burst / 2)  # not too many but too fast, perhaps
        if by_requests >= by_tokens * (1 - _NOTICEABLE_SHARE):
            self.request_limit.lower(
                now, n_requests, is_sure=is_sure and self._is_no_accident(self.request_limit)
            )
        if by_tokens >= by_requests * (1 - _NOTICEABLE_SHARE):
            self.token_limit.lower(now, n_tokens, is_sure=is_sure and self._is_no_accident(self.token_limit))
        return explained

    def _is_no_accident(self, limit: Limit) -> bool:
        """A limit that nobody told is only learned from a server that refuses again and again."""
        return limit.known is not None or self._refused_share >= _NO_ACCIDENT

    def _used(self, now: float) -> tuple[float, float]:
        tokens = max(account.window.taken(now) for account in self._accounts if account.is_held)
        return self._requests.taken(now), tokens

    def learn(self, now: float, said: RateLimits) -> None:
        """Takes over limits that were not known, or lower, and what others have used up of them."""
        n_requests, n_tokens = said.limit_requests, said.limit_tokens
        for limit, value in ((self.request_limit, n_requests), (self.token_limit, n_tokens)):
            if value and (limit.known is None or value < limit.known):
                limit.known = float(value)
        windows = [(self._requests, said.remaining_requests)]
        windows += [(one.window, said.remaining_tokens) for one in self._accounts if one.is_held]
        for window, remaining in windows:
            if remaining is None or window.limit.known is None:
                continue
            used_by_others = window.left(now) - remaining
            if used_by_others > _NOTICEABLE_SHARE * window.limit.known:
                window.take(now, used_by_others)
