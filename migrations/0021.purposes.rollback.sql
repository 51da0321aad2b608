set local lock_timeout = '5s';

-- The columns go without a guard: what they hold comes from this migration and later ones.

-- A purpose that messages refer to stays with them, without hooks: their functions are gone.
delete from messaging.purposes as p
where
    p.purpose not in ('answer', 'welcome', 'direct')
    and not exists (select from messaging.outbox as o where o.purpose = p.purpose);
update messaging.purposes as p
set still_due = null, on_accepted = null
where p.purpose not in ('answer', 'welcome', 'direct');
alter table messaging.purposes
drop column do_not_disturb, drop column opt_out, drop column silence, drop column nudge, drop column on_rejected;
