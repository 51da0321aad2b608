set local lock_timeout = '5s';

drop function roleta_migrations.drop_created(text);
drop function roleta_migrations.undo(roleta_migrations.created_objects);
drop function roleta_migrations.refuse_data_loss(text);
drop function roleta_migrations.ensure_constraint(text, text, text, text);
drop function roleta_migrations.count_offenders(regclass, text);
drop function roleta_migrations.relax_not_null(text, text, text);
drop function roleta_migrations.ensure_row_security(text, text);
drop function roleta_migrations.ensure_index(text, text, text);
drop function roleta_migrations.ensure_column(text, text, text, text);
drop function roleta_migrations.ensure_table(text, text, text);
drop function roleta_migrations.is_ours(regclass);
