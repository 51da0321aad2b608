set local lock_timeout = '5s';

drop function messaging.save_accounts(uuid, jsonb);
drop function messaging.remove_client(uuid);
drop function messaging.rename_client(uuid, text);
drop function messaging.add_client(uuid, uuid, text, text);
drop function messaging.client_label_of(text);
drop function messaging.list_clients();
