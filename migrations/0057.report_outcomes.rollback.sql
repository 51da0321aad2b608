set local lock_timeout = '5s';

drop function messaging.log_unsent_reports(jsonb);
drop function messaging.reject_agency_report(bigint);
drop function messaging.effect_agency_report(bigint);
drop function messaging.log_report(bigint, text);
update messaging.purposes as p set still_due = null where p.purpose = 'agency_report';
drop function messaging.due_agency_report(text);
select roleta_migrations.drop_created('0057.report_outcomes');
