// What each part of deploy/grafana/raven.json has to be, by the types of Grafana's makers. Of a panel's options and queries
// the type of the panel itself knows nothing; the queries of Prometheus are in version 10 alone.
import type { AnnotationQuery, Dashboard } from "@grafana/schema";
import type {
  FieldConfig as Lines,
  Options as TimeSeriesOptions,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { PrometheusDataQuery } from "grafana-schema-10/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen";

// as JSON has it: texts in the place of enumerations
type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer U)[]
    ? Plain<U>[]
    : T extends object
      ? { [K in keyof T]: Plain<T[K]> }
      : T;

export type Board = Plain<Omit<Dashboard, "annotations">> & { annotations: { list: Annotation[] } };
// the last three are those of Prometheus
type Annotation = Plain<AnnotationQuery> & { expr: string; titleFormat: string; textFormat: string };
export type StatPanel = Plain<Partial<StatOptions>>;
export type TimeSeriesPanel = Plain<Partial<TimeSeriesOptions>>;
export type Drawn = Plain<Lines>;
export type Query = Plain<PrometheusDataQuery>;
