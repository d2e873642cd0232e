// Finds faults of a model with which its workers would end again and again in a cluster, or never come.

import { describeConfiguration } from '../shared/configuration/configuration.js';
import { mebibytesToStart } from '../shared/process/start-memory.js';
import { bytesToLoad } from '../shared/registry/load-memory.js';
import type { PlannedModel } from './plan.js';
import type { Refuse } from './refuse.js';
import type { Values } from './values.js';

interface Place {
  readonly values: Values;
  /** Where the values name the model. */
  readonly index: number;
  readonly refuse: Refuse;
}

export function checkModel(planned: PlannedModel, place: Place): void {
  checkDevice(planned, place);
  checkMemory(planned, place);
  checkSecondWorker(planned, place);
  checkFirstWorker(planned, place);
}

function checkDevice({ model, isOnGpu }: PlannedModel, { index, refuse }: Place): void {
  const { device } = model.manifest;
  if (!isOnGpu || device.id === 0) return;
  refuse(
    ['models', index, 'name'],
    `expected device.id 0 in the manifest of ${model.name}, because a worker gets one GPU, whichever is free, and it is 0 there; got ${device.id} in the manifest`,
  );
}

function checkMemory({ model, memoryMi }: PlannedModel, { index, refuse }: Place): void {
  const needed = mebibytesToStart.worker + Math.ceil(bytesToLoad(model.manifest) / 1024 ** 2);
  if (memoryMi >= needed) return;
  refuse(
    ['models', index, 'memory'],
    `expected at least ${needed}Mi, or no worker can load ${model.name}; more is needed to score, so leave it out to get what is usual`,
  );
}

/** By how much a number must be exceeded before the autoscaler of Kubernetes acts on it. */
const tolerance = 1.1;

function checkSecondWorker({ scaling }: PlannedModel, { values, index, refuse }: Place): void {
  const { api } = values;
  const itemsMax = itemsMaxOf(api.settings);
  if (scaling.max === 1 || !(scaling.itemsPerWorker * tolerance >= itemsMax)) return;
  refuse(
    ['models', index, 'scaling', 'itemsPerWorker'],
    `expected fewer than ${Math.ceil(itemsMax / tolerance)} items for each worker, or a second one never comes: the API lets in at most ${itemsMax} (QUEUE_ITEMS_MAX); with its manifest it is ${scaling.itemsPerWorker}`,
  );
}

function checkFirstWorker(planned: PlannedModel, { values, refuse }: Place): void {
  const { model, scaling } = planned;
  const { deadlineMs } = model.manifest;
  if (scaling.min > 0 || values.keda.pollSeconds * 1000 < deadlineMs) return;
  refuse(
    ['keda', 'pollSeconds'],
    `expected less than the deadline of ${model.name}, ${deadlineMs / 1000} s, or its first request ends before KEDA looks`,
  );
}

/** Returns NaN if the setting is no number, which is refused elsewhere. */
function itemsMaxOf({ QUEUE_ITEMS_MAX }: Readonly<Record<string, string>>): number {
  const row = describeConfiguration('api').find(({ key }) => key === 'QUEUE_ITEMS_MAX');
  return Number(QUEUE_ITEMS_MAX || row?.default);
}
