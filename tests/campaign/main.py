"""What scripts/campaign does with its options."""

import argparse
import sys

from tests.campaign.many import campaign, progress, replay, shrunken, table
from tests.campaign.runner import Result
from tests.campaign.schedule import PROFILES, draw, from_json


def main(args: argparse.Namespace) -> int:
    """Everything that was asked for; 1 where anything broke."""
    profiles = tuple(args.profile) if args.profile else PROFILES
    codes = []
    if (args.seed is not None or args.file is not None) and not args.supervise:
        schedule = from_json(args.file.read_text()) if args.file else draw(args.seed, profiles)
        return 1 if replay(schedule) else 0
    if args.schedules:
        codes.append(_schedules(args, profiles))
    if args.crash_matrix:
        from tests.campaign.matrix import matrix

        codes.append(matrix(jobs=args.jobs))
    if args.ambiguous:
        from tests.campaign.ambiguous import ambiguous

        codes.append(ambiguous(args.ambiguous, jobs=args.jobs, first=args.first))
    if args.reconcile_cases:
        from tests.campaign.reconcile_cases import reconcile_cases

        codes.append(reconcile_cases(args.reconcile_cases, jobs=args.jobs, first=args.first))
    if args.processes:
        from tests.campaign.processes import processes

        codes.append(processes(args.processes, jobs=args.jobs, first=args.first))
    if args.supervise:
        from tests.campaign.supervised import supervised

        codes.append(supervised(args.supervise, seed=args.seed or args.first))
    if not codes:
        print("campaign: say what to run; --help lists it", file=sys.stderr)
        return 2
    return max(codes)


def _schedules(args: argparse.Namespace, profiles: tuple[str, ...]) -> int:
    done, failed = 0, 0

    def tell(result: Result) -> None:
        nonlocal done, failed
        done += 1
        failed += bool(result.violations)
        progress(done, args.schedules, failed)
        for violation in result.violations[:3]:
            print(f"seed {result.seed} ({result.profile}): {violation}", flush=True)

    totals = campaign(range(args.first, args.first + args.schedules), jobs=args.jobs, profiles=profiles, tell=tell)
    for result in totals.failed[:5] if args.shrink else []:
        small = shrunken(draw(result.seed, profiles), {v.rule for v in result.violations}, args.shrink)
        print(f"seed {result.seed}, smallest found (scripts/campaign --file FILE): {small.to_json()}", flush=True)
    if args.report or totals.failed:
        print(table(totals))
    print(f"{totals.schedules} schedules, {len(totals.failed)} broke an invariant")
    return 1 if totals.failed else 0
