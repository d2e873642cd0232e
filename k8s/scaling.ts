// How workers come and go. KEDA takes a model from zero to one worker and from one to zero. Between one
// and the most, the autoscaler that KEDA makes does it, and asks KEDA for the numbers.
//
// The number is that of the unanswered items of the model's queue: waiting ones, those being scored,
// those that another worker has to take over. It is the length of one sorted set.
//
// There is no `fallback`. While Redis cannot be reached, the number of workers holds; a fallback would
// change it just then.

import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import type { ITriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication';
import { type DayName, dayNames, type Scaling, type WarmTime } from '../shared/manifest/scaling.js';
import { makeKeys } from '../shared/redis/keys.js';
import { modelLabels, workerSelector } from './names.js';
import type { Plan, PlannedModel } from './plan.js';
import {
  caKey,
  caSecretOf,
  certificateSecretOf,
  redisPlace,
  redisSecret,
  sentinelKey,
  tlsKeys,
} from './redis-place.js';
import type { Values } from './values.js';

type Trigger = IScaledObject['spec']['triggers'][number];
type Behavior = NonNullable<
  NonNullable<
    NonNullable<IScaledObject['spec']['advanced']>['horizontalPodAutoscalerConfig']
  >['behavior']
>;

const authenticationName = 'redis';

export function makeScaledObject(plan: Plan, planned: PlannedModel): IScaledObject {
  const { values } = plan;
  const { name, model, scaling } = planned;
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: {
      name,
      namespace: values.namespace,
      labels: { ...workerSelector(name), ...modelLabels(model) },
    },
    spec: {
      scaleTargetRef: { name },
      pollingInterval: values.keda.pollSeconds,
      cooldownPeriod: scaling.coolDownSeconds,
      minReplicaCount: scaling.min,
      maxReplicaCount: scaling.max,
      advanced: { horizontalPodAutoscalerConfig: { behavior: makeBehavior(scaling) } },
      // The trigger that wants the most workers wins.
      triggers: [
        // During an update of the wire format, the old API still fills the old queue.
        ...model.queues.map((queue) => makeQueueTrigger(values, planned, queue.name)),
        ...scaling.schedule.map(makeCronTrigger),
      ],
    },
  };
}

/**
 * The password of Redis for KEDA, which cannot use an identity of Entra ID for it, its private authority, and the
 * certificate by which it knows its clients.
 */
export function makeTriggerAuthentication(values: Values): ITriggerAuthentication {
  const { namespace, authoritiesConfigMap } = values;
  const caSecret = caSecretOf(values);
  const certificateSecret = certificateSecretOf(values);
  const { name, key } = redisSecret;
  const { kind, isTls } = redisPlace(values);
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'TriggerAuthentication',
    metadata: { name: authenticationName, namespace },
    spec: {
      secretTargetRef: [
        { parameter: 'password', name, key },
        // Without such a key, KEDA asks the Sentinels without a password.
        ...(kind === 'sentinel' ? [{ parameter: 'sentinelPassword', name, key: sentinelKey }] : []),
        ...(caSecret === undefined ? [] : [{ parameter: 'ca', name: caSecret, key: caKey }]),
        ...(certificateSecret === undefined
          ? []
          : [
              { parameter: 'cert', name: certificateSecret, key: tlsKeys.certificate },
              { parameter: 'key', name: certificateSecret, key: tlsKeys.key },
            ]),
      ],
      // KEDA trusts what API and workers trust.
      ...(isTls &&
        caSecret === undefined &&
        authoritiesConfigMap !== undefined && {
          configMapTargetRef: [{ parameter: 'ca', name: authoritiesConfigMap, key: caKey }],
        }),
    },
  };
}

/**
 * Workers that keep up have short queues, so the queue does not show that they are needed: each time the
 * window is over, some are taken away, until the queue grows again. A longer window makes such waits rarer,
 * and costs little, because KEDA takes all workers after the cool-down once no request comes
 * (docs/simulation.md, "The defaults").
 */
const windowPerCoolDown = 3;
/** The most that Kubernetes allows. */
const windowSecondsMax = 3600;

/** The rules of the autoscaler. The simulation follows the same ones. */
export function makeBehavior(scaling: Scaling) {
  return {
    scaleUp: {
      // The length of the queue is what it is: there is no noise to wait out.
      stabilizationWindowSeconds: 0,
      // All workers that are needed are asked for at once. A machine with a GPU takes minutes to come, and
      // asking for one after the other would add these minutes up. `max` is the bound.
      policies: [{ type: 'Pods' as const, value: scaling.max, periodSeconds: 15 }],
    },
    scaleDown: {
      // The autoscaler takes any pod, busy or not. So it acts on the largest number of the window, and
      // not on a short gap between two bursts.
      stabilizationWindowSeconds: Math.min(
        windowPerCoolDown * scaling.coolDownSeconds,
        windowSecondsMax,
      ),
      // Workers leave in halves, so a burst that comes meanwhile still finds some that are warm.
      policies: [{ type: 'Percent' as const, value: 50, periodSeconds: 60 }],
    },
  } satisfies Behavior;
}

/** By kind of Redis, the scaler of KEDA that reads it. */
const scalers = { single: 'redis', sentinel: 'redis-sentinel', cluster: 'redis-cluster' } as const;

function makeQueueTrigger(values: Values, { scaling }: PlannedModel, queue: string): Trigger {
  const { kind, servers, primary, username, db, isTls, prefix } = redisPlace(values);
  return {
    type: scalers[kind],
    // These scalers want texts. They read the length of lists and of sorted sets alike.
    metadata: {
      [kind === 'single' ? 'address' : 'addresses']: servers.join(','),
      ...(kind === 'sentinel' && { sentinelMaster: primary }),
      ...(username !== undefined && { username }),
      ...(db > 0 && { databaseIndex: `${db}` }),
      listName: makeKeys(prefix).unanswered(queue),
      listLength: `${scaling.itemsPerWorker}`,
      activationListLength: '0',
      // Said here or in the TriggerAuthentication; in both it is an error.
      enableTLS: `${isTls}`,
      ...(isTls && !values.keda.checkCertificates && { unsafeSsl: 'true' }),
    },
    authenticationRef: { name: authenticationName },
  };
}

function makeCronTrigger({ days, from, to, timezone, workers }: WarmTime): Trigger {
  const endsNextDay = to < from;
  return {
    type: 'cron',
    metadata: {
      timezone,
      start: toCron(from, days, 0),
      end: toCron(to, days, endsNextDay ? 1 : 0),
      desiredReplicas: `${workers}`,
    },
  };
}

/** Returns the five fields of cron: at this time, on these days or on the days after them. */
function toCron(time: string, days: readonly DayName[], daysLater: number): string {
  const [hour, minute] = time.split(':').map(Number);
  const numbers = days.map((day) => (dayNames.indexOf(day) + daysLater) % dayNames.length);
  return `${minute} ${hour} * * ${[...new Set(numbers)].sort().join(',')}`;
}
