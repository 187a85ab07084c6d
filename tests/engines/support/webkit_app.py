#!/usr/bin/python3
"""A WebKitGTK browser for WebDriver that keeps its cookies in the folder of its first argument.

MiniBrowser keeps nothing while it is controlled by WebDriver.
"""

import os
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")

from gi.repository import Gtk, WebKit2

folder = sys.argv[1]
data = WebKit2.WebsiteDataManager(base_data_directory=folder, base_cache_directory=folder)
context = WebKit2.WebContext.new_with_website_data_manager(data)
context.get_cookie_manager().set_persistent_storage(
    os.path.join(folder, "cookies.sqlite"), WebKit2.CookiePersistentStorage.SQLITE
)


def open_tab(_session):
    view = WebKit2.WebView(web_context=context, is_controlled_by_automation=True)
    window = Gtk.Window(default_width=1024, default_height=768)
    window.add(view)
    window.show_all()
    view.connect("close", lambda _view: window.destroy())
    return view


def automation_started(_context, session):
    session.connect("create-web-view", open_tab)


context.connect("automation-started", automation_started)
context.set_automation_allowed(True)
Gtk.main()
