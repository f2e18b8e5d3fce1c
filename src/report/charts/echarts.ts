/** The parts of Apache ECharts that charts are drawn with. Imported by name, so that no others are bundled (`scripts/build.ts`). */
import { BarChart, CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent } from 'echarts/components';
import { init, setPlatformAPI, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([
  ...[BarChart, CustomChart, LineChart, ScatterChart],
  ...[GridComponent, LegendComponent, MarkLineComponent],
  SVGRenderer,
]);

export { init, setPlatformAPI };
