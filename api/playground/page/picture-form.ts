// Pictures to score: dropped, pasted, chosen, taken with the camera, or one of the samples. Each is a request of its
// own, so several at once show how the service batches.

import type { Asked } from './asking.js';
import { hasCamera, takePhotograph } from './camera.js';
import { makeButton } from './controls.js';
import { element, freshId } from './element.js';
import { showError } from './error-view.js';
import { fetchSample, sampleAt, serviceUrl } from './service.js';

type Picture = Extract<Asked, { kind: 'file' }>;

/** The samples that the service has; see api/playground/samples. */
const samples = [
  { file: 'cat.jpg', alt: 'A ginger tabby cat' },
  { file: 'coffee.jpg', alt: 'A cup of espresso' },
  { file: 'siamese.jpg', alt: 'A Siamese cat' },
  { file: 'tripod.jpg', alt: 'A man behind a camera on a tripod' },
];

export function makePictureForm(
  signal: AbortSignal,
  show: (pictures: readonly Picture[]) => void,
): HTMLElement {
  const trouble = element('div', { class: 'trouble' });
  /** Shows the picture that somebody chose, or why there is none. */
  const pick = async (choose: () => Promise<Picture | undefined>) => {
    try {
      const picture = await choose();
      trouble.replaceChildren();
      if (picture) show([picture]);
    } catch (thrown) {
      if (!signal.aborted) trouble.replaceChildren(showError(thrown));
    }
  };
  const showFiles = (files: Iterable<File>) => {
    const pictures = [...files].map((file) => ({ kind: 'file', file, name: file.name }) as const);
    if (pictures.length > 0) show(pictures);
  };
  const photograph = async (): Promise<Picture | undefined> => {
    const file = await takePhotograph(signal);
    return file && { kind: 'file', file, name: 'photograph.jpg' };
  };
  const id = freshId('files');
  const chooser = element('input', {
    ...{ type: 'file', id, multiple: true, accept: 'image/*', class: 'only-read' },
    onchange: () => {
      showFiles(chooser.files ?? []);
      chooser.value = '';
    },
  });
  const zone = element(
    'div',
    { class: 'drop' },
    element('p', {}, element('strong', {}, 'Drop or paste pictures here'), ', or'),
    element(
      'div',
      { class: 'row' },
      chooser,
      element('label', { for: id, class: 'button primary' }, 'Choose pictures'),
      hasCamera() && makeButton('Take a photograph', '', () => void pick(photograph)),
    ),
  );
  const dropFiles = (files: Iterable<File>) =>
    void pick(async () => {
      if ([...files].length === 0) throw new Error(noFile);
      showFiles(files);
      return undefined;
    });
  acceptDrops(zone, signal, { dropFiles, showFiles });
  const samples = makeSamples((sample) => void pick(sample));
  return element('div', { class: 'stack' }, zone, samples, trouble);
}

/** Text, and pictures of some other pages, are dropped without a file. */
const noFile =
  'Expected the file of a picture; what was dropped has none. Save it as a file, and drop that.';

/** A file that misses the zone would otherwise take the place of the page. */
function acceptDrops(
  zone: HTMLElement,
  signal: AbortSignal,
  { dropFiles, showFiles }: Record<'dropFiles' | 'showFiles', (files: Iterable<File>) => void>,
): void {
  const mark = (isOver: boolean) => zone.classList.toggle('is-over', isOver);
  document.addEventListener(
    'dragover',
    (event) => {
      event.preventDefault();
      mark(true);
    },
    { signal },
  );
  document.addEventListener('dragleave', ({ relatedTarget }) => relatedTarget || mark(false), {
    signal,
  });
  document.addEventListener(
    'drop',
    (event) => {
      event.preventDefault();
      mark(false);
      dropFiles(event.dataTransfer?.files ?? []);
    },
    { signal },
  );
  document.addEventListener('paste', ({ clipboardData }) => showFiles(clipboardData?.files ?? []), {
    signal,
  });
}

function makeSamples(pick: (sample: () => Promise<Picture>) => void): HTMLElement {
  const buttons = samples.map(({ file: name, alt }) => {
    const url = `${serviceUrl}${sampleAt(name)}`;
    const fetchOne = async (): Promise<Picture> => {
      return { kind: 'file', file: await fetchSample(name), name, url };
    };
    return element(
      'button',
      { type: 'button', class: 'sample', onclick: () => pick(fetchOne) },
      element('img', { src: sampleAt(name), alt, width: 88, height: 66 }),
    );
  });
  return element(
    'div',
    { class: 'row', role: 'group', 'aria-label': 'Samples' },
    element('span', { class: 'muted small' }, 'Or try one:'),
    buttons,
  );
}
