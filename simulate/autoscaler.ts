// The HorizontalPodAutoscaler, for one metric that is a length: how many items wait. Its rules are
// those of autoscaling/v2 for an external metric with an AverageValue, which is what KEDA makes.
//
// 1. The replicas that the metric wants: ceil(metric / target). If the metric is within the tolerance of
//    what the present replicas should have, they stay.
// 2. The stabilization windows: scaling up follows the smallest number that was wanted in its window,
//    scaling down the largest.
// 3. The policies bound the change within their periods. They count from the replicas at the start of
//    the period: what was added or removed since then is taken off.
// 4. The bounds, min and max.

export interface Policy {
  readonly type: 'Pods' | 'Percent';
  readonly value: number;
  readonly periodSeconds: number;
}

export interface Rules {
  readonly stabilizationWindowSeconds: number;
  readonly policies: readonly Policy[];
  /** Which policy counts if there are several; `Max` is the one that allows the largest change. */
  readonly selectPolicy?: 'Max' | 'Min' | 'Disabled';
}

export interface AutoscalerOptions {
  readonly min: number;
  readonly max: number;
  /** How much of the metric each replica may have. */
  readonly target: number;
  readonly behavior: { readonly scaleUp: Rules; readonly scaleDown: Rules };
}

/** How often the autoscaler looks. */
export const syncMs = 15_000;
const tolerance = 0.1;

interface Change {
  readonly atMs: number;
  /** Above 0 if replicas were added. */
  readonly by: number;
}

interface Recommendation {
  readonly atMs: number;
  readonly replicas: number;
}

export class Autoscaler {
  readonly #options: AutoscalerOptions;
  #recommendations: Recommendation[] = [];
  #changes: Change[] = [];

  constructor(options: AutoscalerOptions) {
    this.#options = options;
  }

  /** Returns how many replicas there should be. Call it once at each sync. */
  decide(nowMs: number, metric: number, replicas: number): number {
    // Zero replicas turn the autoscaler off. KEDA leaves zero.
    if (replicas === 0) return 0;
    const { min, max } = this.#options;
    const wanted = replicasFor(metric, this.#options.target, replicas);
    const stable = this.#stabilize({ atMs: nowMs, replicas: wanted }, replicas);
    const bounded = Math.min(Math.max(stable, min), max);
    const decided = this.#limit(bounded, replicas, nowMs);
    if (decided !== replicas) this.#changes.push({ atMs: nowMs, by: decided - replicas });
    return decided;
  }

  #stabilize(recommendation: Recommendation, replicas: number): number {
    const { scaleUp, scaleDown } = this.#options.behavior;
    const { atMs } = recommendation;
    const windowsMs =
      Math.max(scaleUp.stabilizationWindowSeconds, scaleDown.stabilizationWindowSeconds) * 1000;
    this.#recommendations = this.#recommendations.filter((past) => past.atMs > atMs - windowsMs);
    this.#recommendations.push(recommendation);
    const within = ({ stabilizationWindowSeconds }: Rules) =>
      this.#recommendations
        .filter(
          (past) => past === recommendation || past.atMs > atMs - stabilizationWindowSeconds * 1000,
        )
        .map((past) => past.replicas);
    const lowest = Math.min(...within(scaleUp));
    const highest = Math.max(...within(scaleDown));
    if (replicas < lowest) return lowest;
    return Math.min(replicas, highest);
  }

  #limit(wanted: number, replicas: number, nowMs: number): number {
    const { scaleUp, scaleDown } = this.#options.behavior;
    const changedSince = (periodSeconds: number) =>
      this.#changes
        .filter(({ atMs }) => atMs > nowMs - periodSeconds * 1000)
        .reduce((sum, { by }) => sum + by, 0);
    const before = (policy: Policy) => replicas - changedSince(policy.periodSeconds);
    if (wanted > replicas) {
      const limits = scaleUp.policies.map((policy) => highestBy(policy, before(policy)));
      return Math.min(wanted, Math.max(replicas, select(scaleUp, limits, replicas, Math.max)));
    }
    if (wanted < replicas) {
      const limits = scaleDown.policies.map((policy) => lowestBy(policy, before(policy)));
      return Math.max(wanted, Math.min(replicas, select(scaleDown, limits, replicas, Math.min)));
    }
    return replicas;
  }
}

/** Returns how many replicas the metric wants, or the present ones within the tolerance. */
export function replicasFor(metric: number, target: number, replicas: number): number {
  const ratio = metric / (target * replicas);
  const isNear = ratio >= 1 - tolerance && ratio <= 1 + tolerance;
  return isNear ? replicas : Math.ceil(metric / target);
}

function highestBy({ type, value }: Policy, before: number): number {
  return type === 'Pods' ? before + value : Math.ceil(before * (1 + value / 100));
}

function lowestBy({ type, value }: Policy, before: number): number {
  return type === 'Pods' ? before - value : Math.trunc(before * (1 - value / 100));
}

/** `furthest` is that of the limits which allows the largest change. */
function select(
  { selectPolicy = 'Max' }: Rules,
  limits: readonly number[],
  replicas: number,
  furthest: (...limits: number[]) => number,
): number {
  if (selectPolicy === 'Disabled') return replicas;
  if (selectPolicy === 'Max') return furthest(...limits);
  return furthest === Math.max ? Math.min(...limits) : Math.max(...limits);
}
