package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"usher/dashboards"
)

func (a *app) dashboardsCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "dashboards --out DIR",
		Short: "Write the Grafana boards and alert rules",
		Long: `Write every board as JSON that Grafana imports, and the files that provision boards, alert rules
and data source. The boards need Grafana's ClickHouse data source pointed at usher's database. Files of the
same names are replaced, others are left alone.`,
		Example:     `  usher dashboards --out ./grafana`,
		Args:        noArgs,
		Annotations: noConfig,
		RunE: a.do(func(*cobra.Command, []string) error {
			if out == "" {
				return usagef("dashboards needs --out DIR")
			}
			if err := dashboards.Write(out); err != nil {
				return err
			}
			boards, err := filepath.Glob(filepath.Join(out, "usher-*.json"))
			for _, board := range boards {
				fmt.Fprintln(a.out, board)
			}
			return err
		}),
	}
	c.Flags().StringVar(&out, "out", "", "the `directory` to write into; it is made when it is not there")
	return c
}
