// The thread that writes a description and ends. To describe a hundred models takes a second, in which the main thread
// would answer nobody.

import { parentPort, workerData } from 'node:worker_threads';
import type { DescribedCatalogue, DescribedService } from './context.js';
import { describe, writeDocument } from './document.js';
import { writePage } from './page/page.js';

export interface DescriptionOrder {
  readonly form: 'document' | 'page';
  readonly service: DescribedService;
  readonly catalogue: DescribedCatalogue;
}

const { form, service, catalogue } = workerData as DescriptionOrder;
const written = writeDocument(describe(service, catalogue));
parentPort?.postMessage(form === 'page' ? writePage(JSON.parse(written)) : written);
