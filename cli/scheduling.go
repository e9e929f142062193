package cli

import (
	"context"
	"errors"

	"orrery/cli/config"
	"orrery/engine/clock"
	"orrery/engine/scheduler"
)

// This file joins schedules.toml to the scheduler, also while the server runs.

// newScheduler makes the scheduler with the schedules of the start.
func (s *server) newScheduler() *scheduler.Scheduler {
	sched := scheduler.New(scheduler.Config{Jobs: s.engine, Keys: s.store, Clock: clock.Real{}, Log: s.log, Leads: s.nodes.leads(scheduler.Work)})
	sched.Set(s.cfg.Schedules)
	s.warnSchedules(s.cfg.Schedules)
	return sched
}

// warnSchedules names those whose blueprint is not loaded: it may come later.
func (s *server) warnSchedules(list []scheduler.Schedule) {
	for _, one := range list {
		if _, ok := s.catalog.ByName(one.Blueprint); !ok {
			s.log.Warn("a schedule names a blueprint that is not loaded; its runs fail until it is", "schedule", one.Name, "blueprint", one.Blueprint)
		}
	}
}

// reloadSchedules reads the file again; one with faults changes nothing.
func (s *server) reloadSchedules(context.Context) (int, error) {
	if s.cfg.SchedulesPath == "" {
		return 0, errors.New("there is no file of schedules (SCHEDULES_CONFIG_PATH)")
	}
	list, faults := config.LoadSchedules(s.cfg.SchedulesPath, s.cfg.Zone)
	if len(faults) > 0 {
		return 0, faults
	}
	s.scheduler.Set(list)
	s.warnSchedules(list)
	return len(list), nil
}
