// Redoc asks its maker's host for a logo, which the page's policy refuses: it gets the icon of the service in its place.
"use strict";

const icon = document.querySelector("link[rel=icon]").href;
const image = HTMLImageElement.prototype;
const source = Object.getOwnPropertyDescriptor(image, "src");

const own = (address) => (/^https?:/.test(address) && new URL(address).origin !== location.origin ? icon : address);

image.setAttribute = function (name, value) {
  Element.prototype.setAttribute.call(this, name, name === "src" ? own(value) : value);
};
Object.defineProperty(image, "src", { ...source, set(value) { source.set.call(this, own(value)); } });
