// What Grafana accepts as a dashboard of ours: its own published types, narrowed to the kinds of
// panel that we use. An unknown key or a misspelt value is an error of the compiler.
import type { AnnotationQuery, Dashboard, GraphFieldConfig, Panel, RowPanel } from "@grafana/schema";
import type { Options as BarGauge } from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as TimelineField,
  Options as Timeline,
} from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type { Options as TimeSeries } from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** JSON writes an enum as its value. */
type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer U)[]
      ? Plain<U>[]
      : unknown extends T
        ? T
        : { [K in keyof T]: Plain<T[K]> };

/** One expression: the part of a Prometheus query that we write. */
interface Query {
  refId: string;
  datasource: { type: "prometheus"; uid: "prometheus" };
  expr: string;
  legendFormat: string;
  range?: boolean;
  instant?: boolean;
}

type Custom<T> = { custom?: Plain<T> };
type Field = NonNullable<Panel["fieldConfig"]>;

interface Shown<Kind extends string, Options, Custom_> extends Omit<
  Plain<Panel>,
  "type" | "options" | "fieldConfig" | "targets"
> {
  type: Kind;
  title: string;
  description: string;
  targets: Query[];
  options: Plain<Options>;
  fieldConfig: Omit<Plain<Field>, "defaults"> & {
    defaults: Omit<Plain<Field["defaults"]>, "custom"> & Custom<Custom_>;
  };
}

/** What the Prometheus data source adds to a query for annotations. */
type Annotation = Omit<Plain<AnnotationQuery>, "target"> & {
  target: { refId: string; expr: string };
  titleFormat: string;
  step: string;
};

export type Board = Omit<Plain<Dashboard>, "panels" | "annotations"> & {
  annotations: { list: Annotation[] };
  uid: string;
  title: string;
  panels: (
    | Plain<RowPanel>
    | Shown<"timeseries", TimeSeries, GraphFieldConfig>
    | Shown<"state-timeline", Timeline, TimelineField>
    | Shown<"stat", Stat, never>
    | Shown<"bargauge", BarGauge, never>
  )[];
};
