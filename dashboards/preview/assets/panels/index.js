// Which panel types the page can draw. Each draws into an element and returns what should be undone.
import { make } from '../dom.js';
import { drawBars } from './bars.js';
import { drawHeatmap } from './heatmap.js';
import { drawStat } from './stat.js';
import { drawTable } from './table.js';
import { drawText } from './text.js';
import { drawTimeline } from './timeline.js';
import { drawTrend } from './trend.js';

const drawings = {
  stat: { draw: drawStat },
  gauge: { draw: drawStat },
  timeseries: { draw: drawTrend, chart: true },
  bargauge: { draw: drawBars },
  barchart: { draw: drawBars },
  table: { draw: drawTable },
  heatmap: { draw: drawHeatmap, chart: true },
  'state-timeline': { draw: drawTimeline, chart: true },
  text: { draw: drawText },
};

// isChart tells whether the panel's numbers can also be had as a table.
export const isChart = (panel) => drawings[panel.type]?.chart === true;

// asks tells whether the panel needs data.
export const asks = (panel) => (panel.targets ?? []).length > 0 && panel.type in drawings;

// draw shows the panel; context is {from, to, link, zoom, explain}.
export function draw(panel, body, frames, context) {
  const drawing = drawings[panel.type];
  if (!drawing) {
    body.append(make('p', { class: 'refused' },
      `This preview cannot draw panels of the type “${panel.type}”. In Grafana it is there.`));
    return undefined;
  }
  return drawing.draw(panel, body, frames, context);
}
