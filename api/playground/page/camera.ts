// Takes a photograph with the camera of the machine.

import { makeButton } from './controls.js';
import { element } from './element.js';

/** Browsers have cameras on safe pages only: by HTTPS, or of the machine itself. */
export function hasCamera(): boolean {
  return 'mediaDevices' in navigator;
}

/** Resolves with undefined if the person cancels. */
export async function takePhotograph(signal: AbortSignal): Promise<Blob | undefined> {
  const video = element('video', { autoplay: true, playsinline: true, muted: true });
  const trouble = element('p', { class: 'muted', role: 'status' }, 'Waiting for the camera …');
  const take = element(
    'button',
    { type: 'button', class: 'button primary', disabled: true },
    'Take it',
  );
  const cancel = makeButton('Cancel', '', () => dialog.close());
  const dialog = element(
    'dialog',
    { class: 'camera', 'aria-label': 'Take a photograph' },
    video,
    trouble,
    element('div', { class: 'row' }, take, cancel),
  );
  document.body.append(dialog);
  dialog.showModal();
  const taken = new Promise<Blob>((resolve, reject) => {
    take.addEventListener('click', () => void draw(video).then(resolve, reject));
  });
  const closed = new Promise<undefined>((resolve) => {
    dialog.addEventListener('close', () => resolve(undefined));
    signal.addEventListener('abort', () => dialog.close());
  });
  // Before that there is nothing to draw.
  video.addEventListener('loadeddata', () => {
    trouble.textContent = '';
    take.disabled = false;
  });
  let stream: MediaStream | undefined;
  const opening = navigator.mediaDevices
    .getUserMedia({ video: { facingMode: 'environment' } })
    .then((opened) => {
      stream = opened;
      if (!dialog.open) return stopAll(opened);
      video.srcObject = opened;
    })
    .catch(({ message }) => {
      trouble.textContent = `The browser gives no camera: ${message}. Choose a picture instead.`;
    });
  try {
    return await Promise.race([taken, closed]);
  } finally {
    dialog.close();
    dialog.remove();
    if (stream) stopAll(stream);
    await opening;
  }
}

function stopAll(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

async function draw(video: HTMLVideoElement): Promise<Blob> {
  const canvas = element('canvas', { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) =>
    canvas.toBlob(resolve, 'image/jpeg', 0.9),
  );
  if (!blob) throw new Error('The browser made no picture of the photograph. Take another one.');
  return blob;
}
